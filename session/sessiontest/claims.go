package sessiontest

import (
	"net/netip"
	"time"

	"earshot/session"
)

const group = "news"

func key(id string) session.Key { return session.Key{ID: session.ID(id), Group: group} }

type option func(*session.Claim)

// claim is one for an hour under the limit "u" of 1, newest refused, unless the options say otherwise.
func claim(id string, options ...option) *session.Claim {
	c := &session.Claim{
		Seat: session.Seat{Key: key(id), Kind: session.HLS, Edge: "a", Address: netip.MustParseAddr("192.0.2.1"), Agent: "player/1",
			Uses: []session.Use{{Name: "u", Max: 1}}},
		TTL: time.Hour, Policy: session.Reject, Silence: time.Hour, Cooldown: time.Hour, Sentence: time.Hour,
	}
	for _, o := range options {
		o(c)
	}
	return c
}

func under(name string, max int) option { // instead of "u"
	return func(c *session.Claim) { c.Seat.Uses = []session.Use{{Name: name, Max: max}} }
}

func and(name string, max int) option { // as well
	return func(c *session.Claim) { c.Seat.Uses = append(c.Seat.Uses, session.Use{Name: name, Max: max}) }
}

func slot(name string) option  { return func(c *session.Claim) { c.Seat.Slot = name } }
func owner(name string) option { return func(c *session.Claim) { c.Seat.Owner = name } }
func user(name string) option  { return func(c *session.Claim) { c.Seat.UserID = name } }

func at(edge string) option { return func(c *session.Claim) { c.Seat.Edge = edge } }
func back(id string) option { return func(c *session.Claim) { c.Back = key(id) } }

func ttl(d time.Duration) option        { return func(c *session.Claim) { c.TTL = d } }
func silence(d time.Duration) option    { return func(c *session.Claim) { c.Silence = d } }
func sentence(d time.Duration) option   { return func(c *session.Claim) { c.Sentence = d } }
func cooldown(d time.Duration) option   { return func(c *session.Claim) { c.Cooldown = d } }
func age(d time.Duration) option        { return func(c *session.Claim) { c.Age = d } }
func seat(f func(*session.Seat)) option { return func(c *session.Claim) { f(&c.Seat) } }

func policy(p session.Policy) option { return func(c *session.Claim) { c.Policy = p } }

func ofUser(c *session.Claim)  { c.OfUser = true }
func goes(c *session.Claim)    { c.Goes = true }
func restore(c *session.Claim) { c.Restore = true }
func adopt(c *session.Claim)   { c.Adopt = true }

// app makes the claim an app's, for a session that is not played yet.
func app(c *session.Claim) { c.Seat.API, c.Seat.Key.Group, c.Seat.Kind = true, "", "" }

func terminate(ids ...string) option {
	return func(c *session.Claim) {
		for _, id := range ids {
			c.Terminate = append(c.Terminate, key(id))
		}
	}
}
