//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a program that this one started, with its children, and that ends with it.
type process struct {
	cmd    *exec.Cmd
	log    string        // the file with what it printed
	exited chan struct{} // closed once it has ended
}

// start starts a program on a core of its own. What it prints goes into a file in dir.
func start(dir string, on core, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(dir, filepath.Base(cmd.Path)+".log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	// SIGTERM, and not SIGKILL, if this process is killed: nginx ends its workers then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := startOn(on, cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.exited)
	}()
	return p, nil
}

// startOn starts cmd from a thread that runs on that core: the child inherits it, and so do its children.
func startOn(on core, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := on.pinThread(0); err != nil {
		return err
	}
	defer loadCore().pinThread(0)
	return cmd.Start()
}

// end ends the program and its children.
func (p *process) end() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the group can outlive its leader
	<-p.exited
}

// ready waits until the program accepts connections at all of the addresses.
func (p *process) ready(addresses ...string) error {
	deadline := time.Now().Add(15 * time.Second)
	for _, at := range addresses {
		for {
			c, err := net.DialTimeout("tcp", at, time.Second)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-p.exited:
				return p.failed("has ended")
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return p.failed("does not listen on " + at)
			}
		}
	}
	return nil
}

func (p *process) failed(how string) error {
	said, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(said, nil))), "\n")
	return fmt.Errorf("%s %s; it printed:\n%s", filepath.Base(p.cmd.Path), how, strings.Join(lines[max(0, len(lines)-10):], "\n"))
}

// freeAddress is an address of loopback on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
