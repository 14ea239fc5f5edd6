//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profile has one more round of Earshot, which counts for nothing, and keeps where it spent its time, and what it held.
func (c *contest) profile(cell cell) error {
	if c.opt.profile == "" {
		return nil
	}
	const length = 5 * time.Second
	file := filepath.Join(c.opt.profile, strings.NewReplacer(", ", "-", " ", "-").Replace(cell.String()))
	saved := make(chan error, 1)
	go func() {
		time.Sleep(c.opt.ramp)
		saved <- c.arena.servers[1].profiles(length, file)
	}()
	l := &load{cell: cell, crowd: c.crowds[1], inFlight: c.opt.inFlight, ramp: c.opt.ramp, length: length + time.Second}
	_, err := l.run()
	return errors.Join(err, <-saved)
}

// profiles saves where Earshot spends its time for so long, and what it has on its heap then. Few of the small things there are sampled by default:
// GODEBUG=memprofilerate=4096 has more of them be.
func (s *server) profiles(length time.Duration, file string) error {
	return errors.Join(fetch(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.admin, length/time.Second), file+".pprof"),
		fetch(fmt.Sprintf("http://%s/debug/pprof/heap?gc=1", s.admin), file+".heap"))
}

// fetch saves what is at a URL.
func fetch(url, file string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o644)
}
