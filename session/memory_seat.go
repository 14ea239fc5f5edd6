package session

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
	"unique"
)

// seat is a [Seat] as the table keeps it: small, and in the lists that it is found by. Times are Unix ms.
type seat struct {
	key                               Key
	user, device, owner, slot         string
	kind, edge, kindOf, agent, served unique.Handle[string] // few that differ; kindOf is the device type
	address                           netip.Addr
	uses                              []share
	history                           *history // nil: none
	started, seen, expires            int64
	checked                           int64 // when its expiry is looked at; never later than it expires
	at                                int32 // in the queue
	api, gone                         bool
	id, mine, owned                   link // seats of the same id, user, owner
}

// share is one use of a limit.
type share struct {
	*limit
	max int
}

// history is what few seats have.
type history struct {
	guarded int64    // until when
	since   int64    // and since when
	from    Key      // the session it was taken from
	passed  [2]int64 // when it last went between that session and this one, the later first; 0: it did not
	seen    []seen
	holds   []hold // of each edge that holds the seat; nil: only the one that saw it last does
}

// hold is until when an edge holds a seat.
type hold struct {
	edge  unique.Handle[string]
	until int64
}

type seen struct {
	edge  unique.Handle[string]
	face  uint64
	since int64 // Unix ms
	at    int64
	n     int
	piece [MaxPieces]uint64
}

func (s *seat) due() int64    { return s.checked }
func (s *seat) place() *int32 { return &s.at }

func (s *seat) past() *history {
	if s.history == nil {
		s.history = &history{}
	}
	return s.history
}

func (s *seat) guarded(now int64) bool { return s.history != nil && now < s.history.guarded }

func (h *history) guard(now, ttl int64) { h.since, h.guarded = now, now+ttl }

func (s *seat) takenFrom(k Key) bool {
	return s.history != nil && s.history.passed[0] != 0 && s.history.from == k
}

func (s *seat) unplayed() bool { return s.api && s.key.Group == "" }

func (s *seat) under(l *limit) bool {
	for _, u := range s.uses {
		if u.limit == l {
			return true
		}
	}
	return false
}

// began orders seats by when they did; seenLast by when they were seen.
func began(a, b *seat) int {
	if c := cmp.Compare(a.started, b.started); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.key.ID, b.key.ID), cmp.Compare(a.key.Group, b.key.Group))
}

func seenLast(a, b *seat) int { return cmp.Or(cmp.Compare(a.seen, b.seen), began(a, b)) }

func newSeat(c *Claim, now int64) *seat {
	f := &c.Seat
	return &seat{key: f.Key, user: f.UserID, device: f.DeviceID, owner: f.Owner, slot: f.Slot, kind: unique.Make(string(f.Kind)),
		edge: unique.Make(f.Edge), kindOf: unique.Make(f.DeviceType), agent: unique.Make(f.Agent), served: unique.Make(f.Service),
		address: f.Address, api: f.API, started: now - ms(c.Age), seen: now, expires: now + ms(c.TTL)}
}

// adopt gives the seat what the app has said.
func (s *seat) adopt(app *seat) {
	empty := unique.Make("")
	s.api, s.started = true, app.started
	s.user, s.device = cmp.Or(app.user, s.user), cmp.Or(app.device, s.device)
	if app.kindOf != empty {
		s.kindOf = app.kindOf
	}
	if app.served != empty {
		s.served = app.served
	}
}

// view is the seat as callers have it.
func (s *seat) view() Seat {
	v := Seat{Key: s.key, Kind: Kind(s.kind.Value()), API: s.api, Edge: s.edge.Value(), UserID: s.user, DeviceID: s.device,
		DeviceType: s.kindOf.Value(), Address: s.address, Agent: s.agent.Value(), Service: s.served.Value(), Owner: s.owner, Slot: s.slot,
		Started: time.UnixMilli(s.started), Seen: time.UnixMilli(s.seen), Expires: time.UnixMilli(s.expires)}
	for _, u := range s.uses {
		v.Uses = append(v.Uses, Use{u.name, u.max})
	}
	return v
}

func views(seats []*seat) []Seat {
	var all []Seat
	for _, s := range seats {
		all = append(all, s.view())
	}
	return all
}

// ms are whole milliseconds.
func ms(d time.Duration) int64 { return d.Milliseconds() }

// sight notes what edge has seen, and tells what others have within ttl.
func (s *seat) sight(edge unique.Handle[string], sighting *Sighting, now, ttl int64) []Sighting {
	if sighting.Face == 0 && (s.history == nil || len(s.history.seen) == 0) {
		return nil
	}
	h := s.past()
	var others []Sighting
	for i := range h.seen {
		if o := &h.seen[i]; o.edge != edge && now-o.at < ttl {
			others = append(others, Sighting{Face: o.face, Since: time.Duration(now-o.since) * time.Millisecond, Pieces: slices.Clone(o.piece[:o.n])})
		}
	}
	if sighting.Face != 0 {
		h.note(edge, sighting, now)
	}
	return others
}

// maxEdges bounds the edges whose sightings of one seat are kept; the stalest goes.
const maxEdges = 8

func (h *history) note(edge unique.Handle[string], sighting *Sighting, now int64) {
	i := slices.IndexFunc(h.seen, func(o seen) bool { return o.edge == edge })
	switch {
	case i >= 0:
	case len(h.seen) >= maxEdges:
		i = 0
		for j := range h.seen {
			if h.seen[j].at < h.seen[i].at {
				i = j
			}
		}
		h.seen[i].edge = edge
	case h.seen == nil:
		h.seen = make([]seen, 1) // mostly there is but one edge
		h.seen[0].edge, i = edge, 0
	default:
		h.seen = append(h.seen, seen{edge: edge})
		i = len(h.seen) - 1
	}
	o := &h.seen[i]
	o.face, o.since, o.at = sighting.Face, now-ms(sighting.Since), now
	o.n = copy(o.piece[:], sighting.Pieces[max(0, len(sighting.Pieces)-MaxPieces):])
	slices.SortFunc(h.seen, func(a, b seen) int { return cmp.Compare(a.edge.Value(), b.edge.Value()) })
}
