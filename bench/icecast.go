//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const icecastPassword = "bench-source"

// icecastConf is Debian's Icecast with room for the crowd. Queue and burst are its defaults, as are the timeouts; it logs errors only.
// Its access log cannot be turned off: it has a line for each listener when he leaves, which is after what is measured.
const icecastConf = `<icecast>
  <hostname>127.0.0.1</hostname>
  <location>bench</location>
  <admin>nobody@radio.example</admin>
  <limits>
    <clients>20000</clients>
    <sources>4</sources>
    <queue-size>524288</queue-size>
    <burst-size>65536</burst-size>
  </limits>
  <authentication>
    <source-password>` + icecastPassword + `</source-password>
    <admin-user>admin</admin-user>
    <admin-password>` + icecastPassword + `</admin-password>
  </authentication>
  <listen-socket><port>%s</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths>
    <webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>1</loglevel></logging>
  <security><chroot>0</chroot>%s</security>
</icecast>
`

var errNoIcecast = errors.New("icecast2 is not installed: run make test, which installs it")

// startIcecast starts an Icecast with nothing on air yet, in dir, which is made for it. Icecast 2.4.4 dies of a segmentation fault in one
// start of some hundred, so there are three attempts.
func startIcecast(dir string, on core) (s *server, err error) {
	program, err := exec.LookPath("icecast2")
	if err != nil {
		return nil, errNoIcecast
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for range 3 {
		if s, err = tryIcecast(program, dir, on); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func tryIcecast(program, dir string, on core) (s *server, err error) {
	s = &server{name: "Icecast"}
	if s.plain, err = freeAddress(); err != nil {
		return nil, err
	}
	owner := ""
	if os.Geteuid() == 0 { // it refuses to run as root
		owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
	}
	file := filepath.Join(dir, "icecast.xml")
	if err := os.WriteFile(file, fmt.Appendf(nil, icecastConf, portOf(s.plain), owner), 0o644); err != nil {
		return nil, err
	}
	if s.proc, err = start(dir, on, exec.Command(program, "-c", file)); err != nil {
		return nil, err
	}
	if err := s.proc.ready(s.plain); err != nil {
		s.proc.end()
		return nil, err
	}
	return s, nil
}
