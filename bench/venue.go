//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// relayConf has every default but what keeps a test from coming from one address.
const relayConf = `listen: [{addr: %q}]
admin: %q
data: %q
new_sessions_per_address: 10000000
streams:
  - stream: live
    path: ` + stationMount + `
    icy: http://%s` + stationMount + `
%s`

// venue is where the relays are measured: an Icecast with a station, on the core of the load, which is Earshot's origin.
type venue struct {
	dir     string
	program string // Earshot's
	origin  *server
	station *process
	doors   []*door // Earshot's
	turns   int     // servers started so far
}

// groundwork makes the directory, builds Earshot unless there is a program, and keeps this process on the core of the load.
func groundwork(program string) (dir, earshot string, err error) {
	if dir, err = os.MkdirTemp("", "earshot-bench-"); err != nil {
		return "", "", err
	}
	if program == "" {
		if program, err = buildEarshot(dir); err != nil {
			return dir, "", err
		}
	}
	if err := loadCore().pinSelf(); err != nil {
		return dir, "", err
	}
	runtime.GOMAXPROCS(1) // there is one core for all of the load
	return dir, program, nil
}

func newVenue(opt *edgeOptions) (v *venue, err error) {
	v = new(venue)
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if v.dir, v.program, err = groundwork(opt.program); err != nil {
		return v, err
	}
	if err = os.Chmod(v.dir, 0o755); err != nil { // Icecast changes its user before it reads its configuration again
		return v, err
	}
	if v.origin, err = startIcecast(filepath.Join(v.dir, "origin"), loadCore()); err != nil {
		return v, err
	}
	if v.station, err = startStation(v.dir, v.origin.plain); err != nil {
		return v, err
	}
	for _, g := range opt.gates {
		d, err := openDoor(v.dir, g)
		if err != nil {
			return v, err
		}
		v.doors = append(v.doors, d)
	}
	return v, nil
}

// contender is a server under test, started anew for each round, with what it needs.
type contender struct {
	*server
	station *process // of an Icecast
	dir     string
}

// contenders start Icecast and the Earshots, in the order of the table.
func (v *venue) contenders() []func() (*contender, error) {
	all := []func() (*contender, error){v.icecast}
	for _, d := range v.doors {
		all = append(all, func() (*contender, error) { return v.earshot(d) })
	}
	return all
}

func (v *venue) icecast() (c *contender, err error) {
	c = &contender{dir: v.nextDir()}
	if c.server, err = startIcecast(c.dir, serverCore()); err != nil {
		return nil, err
	}
	if c.station, err = startStation(c.dir, c.plain); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (v *venue) earshot(d *door) (c *contender, err error) {
	c = &contender{server: &server{name: d.name(), door: d}, dir: v.nextDir()}
	for _, at := range []*string{&c.plain, &c.admin} {
		if *at, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(relayConf, c.plain, c.admin, filepath.Join(c.dir, "data"), v.origin.plain, d.conf)
	if err := c.check(v.program, c.dir, conf); err != nil {
		return nil, err
	}
	return c, c.launch(v.program, c.dir)
}

func (v *venue) nextDir() string {
	v.turns++
	return filepath.Join(v.dir, fmt.Sprint(v.turns))
}

func (c *contender) end() {
	c.station.end()
	c.proc.end()
	_ = os.RemoveAll(c.dir)
}

func (v *venue) close() {
	v.station.end()
	for _, d := range v.doors {
		d.close()
	}
	if v.origin != nil {
		v.origin.proc.end()
	}
	_ = os.RemoveAll(v.dir)
}
