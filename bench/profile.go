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

// profile has one more round of Earshot, which counts for nothing, and keeps where it spent its time.
func (c *contest) profile(cell cell) error {
	if c.opt.profile == "" {
		return nil
	}
	const length = 5 * time.Second
	name := strings.NewReplacer(", ", "-", " ", "-").Replace(cell.String()) + ".pprof"
	saved := make(chan error, 1)
	go func() {
		time.Sleep(c.opt.ramp)
		saved <- fetch(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", c.arena.earshot.admin, length/time.Second),
			filepath.Join(c.opt.profile, name))
	}()
	l := &load{cell: cell, crowd: c.crowds[1], inFlight: c.opt.inFlight, ramp: c.opt.ramp, length: length + time.Second}
	_, err := l.run()
	return errors.Join(err, <-saved)
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
