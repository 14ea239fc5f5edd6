//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// gate is what the Earshot under test asks of its listeners.
type gate string

const (
	gateOn    gate = "on"    // tokens, limits, blackouts with a geo file; seats in memory
	gateOff   gate = "off"   // nothing: everybody may listen
	gateRedis gate = "redis" // as on, with the seats on a Redis, which shares the load's core
)

// gates are those that Earshot is measured with; the first is the one that is compared.
type gates []gate

func (all *gates) String() string {
	var names []string
	for _, g := range *all {
		names = append(names, string(g))
	}
	return strings.Join(names, ",")
}

func (all *gates) Set(text string) error {
	*all = nil
	for name := range strings.SplitSeq(text, ",") {
		g := gate(name)
		if g != gateOn && g != gateOff && g != gateRedis {
			return fmt.Errorf("the gate is %s, %s or %s", gateOn, gateOff, gateRedis)
		}
		*all = append(*all, g)
	}
	return nil
}

const (
	gateSecret = "bench-0123456789abcdef0123456789abcdef"
	gateConf   = `secrets: [{id: bench, key: ` + gateSecret + `}]
auth: {jwt: {secret: ` + gateSecret + `}}
limits: [{per: user, max: 3}, {per: address, max: 1000000}]
geo: %q
blackouts:
  - {id: derby, streams: ['sport-*'], where: {country: GB}, schedule: 'sat,sun 14:45-17:15 Europe/London'}
  - {id: abroad, streams: [live], where: {country: [FR, BE]}, except: {network: 192.0.2.0/24}}
  - {id: nights, streams: [live], where: {subdivision: US-AK}, schedule: '22:00-02:00 America/New_York'}
live: %q
`
)

// door is a gate with what it needs.
type door struct {
	gate  gate
	conf  string   // for Earshot
	redis *process // nil: none
}

// openDoor makes what a gate needs in dir.
func openDoor(dir string, g gate) (d *door, err error) {
	d = &door{gate: g}
	if g == gateOff {
		return d, nil
	}
	places, live := filepath.Join(dir, "places-"+string(g)+".mmdb"), ""
	if err := writePlaces(places); err != nil {
		return nil, err
	}
	if g == gateRedis {
		if live, err = d.startRedis(dir); err != nil {
			return nil, err
		}
	}
	d.conf = fmt.Sprintf(gateConf, places, live)
	return d, nil
}

func (d *door) startRedis(dir string) (url string, err error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", portOf(address), "--save", "", "--appendonly", "no", "--dir", dir)
	if d.redis, err = start(dir, loadCore(), cmd); err != nil {
		return "", err
	}
	if err := d.redis.ready(address); err != nil {
		d.close()
		return "", err
	}
	return "redis://" + address, nil
}

func (d *door) close() {
	if d != nil {
		d.redis.end()
	}
}

// name is that of an Earshot behind it.
func (d *door) name() string {
	switch d.gate {
	case gateOff:
		return "Earshot, no gate"
	case gateRedis:
		return "Earshot, seats on Redis"
	}
	return "Earshot"
}

// shows is what a listener adds to the query of his first request: a token of his own. He is a user with one device.
func (d *door) shows(user string) string {
	if d == nil || d.gate == gateOff {
		return ""
	}
	claims := jwt.MapClaims{"sub": user, "device": "one", "device_type": "phone", "exp": time.Now().Add(24 * time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(gateSecret))
	if err != nil {
		panic(err) // the key is ours
	}
	return "token=" + token
}

// writePlaces makes a geo file that knows where the load is.
func writePlaces(file string) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoIP2-City", IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for network, at := range map[string][2]string{"127.0.0.0/8": {"DE", "BE"}, "192.0.2.0/24": {"FR", "IDF"}, "198.51.100.0/24": {"US", "AK"}} {
		_, prefix, err := net.ParseCIDR(network)
		if err != nil {
			return err
		}
		place := mmdbtype.Map{
			"country":      mmdbtype.Map{"iso_code": mmdbtype.String(at[0])},
			"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(at[1])}},
		}
		if err := tree.Insert(prefix, place); err != nil {
			return err
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := tree.WriteTo(out); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
