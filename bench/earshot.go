//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"earshot/playlist"
)

// earshotConf has every default but what keeps a test from coming from one address.
const earshotConf = `listen: [%s]
admin: %q
data: %q
new_sessions_per_address: 10000000
streams:
  - group: live
    path: /live/
    hls: http://%s/live/
%s`

// buildEarshot builds the program from the module that this one is part of.
func buildEarshot(dir string) (string, error) {
	program := filepath.Join(dir, "earshot")
	build := exec.Command("go", "build", "-o", program, "earshot/cmd/earshot")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build earshot: %w\n%s", err, said)
	}
	return program, nil
}

// startEarshot starts Earshot before the origin. Where it cannot serve TLS, lacks says why, and it is started without.
func startEarshot(dir, program, origin string, cert certificate, d *door) (s *server, lacks string, err error) {
	s = &server{name: d.name(), door: d, param: playlist.SessionParam, grant: "&" + playlist.GrantParam + "="}
	for _, at := range []*string{&s.plain, &s.tls, &s.admin} {
		if *at, err = freeAddress(); err != nil {
			return nil, "", err
		}
	}
	dir = filepath.Join(dir, "earshot-"+string(d.gate))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	conf := func(listen string) string {
		return fmt.Sprintf(earshotConf, listen, s.admin, filepath.Join(dir, "data"), origin, d.conf)
	}
	listen := fmt.Sprintf("{addr: %q}", s.plain)
	if err := s.check(program, dir, conf(listen+fmt.Sprintf(", {addr: %q, tls: {cert: %q, key: %q}}", s.tls, cert.cert, cert.key))); err != nil {
		lacks, s.tls = err.Error(), ""
		if err := s.check(program, dir, conf(listen)); err != nil {
			return nil, "", err
		}
	}
	if err := s.launch(program, dir); err != nil {
		return nil, "", err
	}
	return s, lacks, nil
}

// launch starts Earshot with the configuration that was checked in dir.
func (s *server) launch(program, dir string) (err error) {
	cmd := exec.Command(program, "serve", "-config", filepath.Join(dir, confFile))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if s.proc, err = start(dir, serverCore(), cmd); err != nil {
		return err
	}
	addresses := []string{s.plain, s.admin}
	if s.tls != "" {
		addresses = append(addresses, s.tls)
	}
	if err := s.proc.ready(addresses...); err != nil {
		s.proc.end()
		return err
	}
	return nil
}

// confFile is the configuration's name.
const confFile = "earshot.yaml"

// check writes a configuration and has Earshot check it.
func (s *server) check(program, dir, conf string) error {
	file := filepath.Join(dir, confFile)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	if said, err := exec.Command(program, "check", "-config", file).CombinedOutput(); err != nil {
		return fmt.Errorf("%s", strings.ReplaceAll(strings.TrimSpace(string(said)), file, filepath.Base(file)))
	}
	return nil
}
