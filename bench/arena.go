//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// arena is the origin and, before it, the servers.
type arena struct {
	dir     string
	origin  *process
	address string // of the origin
	program string // Earshot's
	cert    certificate

	sendPlaylists bool // nginx's playlists go by sendfile
	gates         gates

	doors   []*door
	servers []*server // nginx, and an Earshot for each gate
	lacks   string    // why Earshot has no TLS
}

// newArena starts the origin, on the core of the load.
func newArena(opt *edgeOptions) (a *arena, err error) {
	a = &arena{sendPlaylists: opt.sendPlaylists, gates: opt.gates}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.dir, a.program, err = groundwork(opt.program); err != nil {
		return a, err
	}
	if a.cert, err = newCertificate(a.dir); err != nil {
		return a, err
	}
	err = a.startOrigin()
	return a, err
}

func (a *arena) startOrigin() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, originCommand)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process, however that ends
		return err
	}
	if a.origin, err = start(a.dir, loadCore(), cmd); err != nil {
		return err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return a.origin.failed("does not say where it listens")
	}
	a.address = strings.TrimSpace(line)
	return nil
}

// startServers starts all.
func (a *arena) startServers() error {
	nginx, err := startNginx(a.dir, a.address, a.cert, a.sendPlaylists)
	if err != nil {
		return err
	}
	a.servers = []*server{nginx}
	for _, g := range a.gates {
		d, err := openDoor(a.dir, g)
		if err != nil {
			return err
		}
		a.doors = append(a.doors, d)
		s, lacks, err := startEarshot(a.dir, a.program, a.address, a.cert, d)
		if err != nil {
			return err
		}
		a.servers, a.lacks = append(a.servers, s), lacks
	}
	return nil
}

// stopServers ends all, so that they can be started anew.
func (a *arena) stopServers() {
	dirs := []string{"nginx"}
	for _, s := range a.servers {
		s.proc.end()
	}
	for _, d := range a.doors {
		d.close()
		dirs = append(dirs, "earshot-"+string(d.gate))
	}
	for _, dir := range dirs {
		_ = os.RemoveAll(filepath.Join(a.dir, dir))
	}
	a.servers, a.doors = nil, nil
}

func (a *arena) close() {
	a.stopServers()
	a.origin.end()
	_ = os.RemoveAll(a.dir)
}

// mayOpen fails if this process, or a server that it starts, may not have so many connections.
func mayOpen(conns int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	const others = 500
	if need := uint64(conns + others); limit.Max < need {
		return fmt.Errorf("%d connections need %d open files, and the limit is %d: raise it (ulimit -Hn), or ask for fewer", conns, need, limit.Max)
	}
	limit.Cur = limit.Max // for the servers: the Go runtime raises its own, and takes that back in what it starts
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}
