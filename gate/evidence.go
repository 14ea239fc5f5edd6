package gate

import (
	"context"
	"sync"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// How a listener was refused, as it is stored.
const (
	refused = "refused"
	cut     = "cut" // he was playing
)

// Evidence is written in the background, so that nobody waits for it. Whoever asks again and again gets evidenceEach rows a minute, and one that sums up the rest.
const (
	evidenceQueue = 16_384
	evidenceBatch = 1_000
	evidenceEach  = 20
	evidenceEvery = 250 * time.Millisecond
	evidenceKinds = 50_000 // listeners whose rows are counted
)

// evidence is what is to be written. Where nobody is refused it takes no memory.
type evidence struct {
	mu    sync.Mutex
	queue []testimony // at most evidenceQueue

	failing bool // owned by keepEvidence
}

// testimony is one row, and what it has in common with those that it may be summed up with.
type testimony struct {
	blackout.Evidence
	of sameRefusal
}

// add reports false where there is no room.
func (e *evidence) add(t testimony) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) >= evidenceQueue {
		return false
	}
	e.queue = append(e.queue, t)
	return true
}

func (e *evidence) take() []testimony {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.queue
	e.queue = nil
	return all
}

// witness records that a rule refused somebody.
func (g *Gate) witness(who subject, r *blackout.Rule, place blackout.Place, now time.Time) {
	if g.opt.Keeper == nil {
		return
	}
	l := who.listener
	e := blackout.Evidence{At: now, Rule: r.ID, Action: who.how, SessionID: string(who.key.ID), Group: who.key.Group, UserID: l.UserID,
		DeviceID: l.DeviceID, DeviceType: l.DeviceType, Place: place, Edge: g.opt.Edge, Times: 1}
	if l.Address.IsValid() {
		e.IP = g.opt.IP(l.Address)
	}
	if !g.evidence.add(testimony{e, g.sameAs(who, r)}) {
		g.metrics.evidenceLost(1)
	}
}

// sameRefusal is what evidence has in common that is summed up: the session or, where none has begun, who asks. A player that is refused and brings no id is
// another session each time.
type sameRefusal struct {
	rule, action, session, group, user string
	face                               uint64 // of address and agent
}

func (g *Gate) sameAs(who subject, r *blackout.Rule) sameRefusal {
	l := who.listener
	same := sameRefusal{rule: r.ID, action: who.how, group: who.key.Group, user: l.UserID, face: session.FaceOf(l.Address, l.Agent)}
	if _, began := g.table.Get(who.key); began || who.how == cut {
		same.session = string(who.key.ID)
	}
	return same
}

type repeated struct {
	rows int
	rest blackout.Evidence // Times is how many
}

// keepEvidence writes evidence until ctx is done, and then what there is.
func (g *Gate) keepEvidence(ctx context.Context) {
	if g.opt.Keeper == nil {
		<-ctx.Done()
		return
	}
	var batch []blackout.Evidence
	counted, turned := make(map[sameRefusal]*repeated), time.Now()
	tick := time.NewTicker(evidenceEvery)
	defer tick.Stop()
	for pruned := (time.Time{}); ; { // at once: not every process lives for an hour
		stop := false
		select {
		case <-ctx.Done():
			stop = true
		case <-tick.C:
		}
		batch = g.drain(batch, counted)
		if now := time.Now(); stop || now.Sub(turned) >= time.Minute || len(counted) >= evidenceKinds {
			batch = sumUp(batch, counted)
			turned = now
		}
		batch = g.writeEvidence(batch)
		if stop {
			g.metrics.evidenceLost(len(batch))
			return
		}
		if time.Since(pruned) > time.Hour {
			g.pruneEvidence(ctx)
			pruned = time.Now()
		}
	}
}

// drain takes what has come, as rows or into the sums.
func (g *Gate) drain(batch []blackout.Evidence, counted map[sameRefusal]*repeated) []blackout.Evidence {
	if len(batch) >= evidenceQueue {
		return batch
	}
	for _, t := range g.evidence.take() {
		r := counted[t.of]
		if r == nil {
			r = new(repeated)
			counted[t.of] = r
		}
		if r.rows++; r.rows <= evidenceEach {
			batch = append(batch, t.Evidence)
			continue
		}
		t.Times += r.rest.Times
		if t.SessionID != r.rest.SessionID && r.rest.Times > 0 {
			t.SessionID = "" // of several
		}
		r.rest = t.Evidence
	}
	return batch
}

func sumUp(batch []blackout.Evidence, counted map[sameRefusal]*repeated) []blackout.Evidence {
	for _, r := range counted {
		if r.rest.Times > 0 {
			batch = append(batch, r.rest)
		}
	}
	clear(counted)
	return batch
}

// writeEvidence returns what could not be written.
func (g *Gate) writeEvidence(batch []blackout.Evidence) []blackout.Evidence {
	for len(batch) > 0 {
		n := min(len(batch), evidenceBatch)
		ctx, cancel := context.WithTimeout(context.Background(), backgroundTime)
		err := g.opt.Keeper.AppendEvidence(ctx, batch[:n])
		cancel()
		if err != nil {
			g.metrics.evidenceFailed()
			if !g.evidence.failing {
				g.log.Warn("evidence cannot be written; it waits in memory, and is tried again", "rows", len(batch), "err", err)
			}
			g.evidence.failing = true
			return batch
		}
		batch, g.evidence.failing = batch[n:], false
	}
	return batch[:0]
}

func (g *Gate) pruneEvidence(ctx context.Context) {
	if g.opt.Retain <= 0 {
		return
	}
	for ctx.Err() == nil {
		n, err := g.opt.Keeper.PruneEvidence(ctx, time.Now().Add(-g.opt.Retain), evidenceBatch)
		if err != nil {
			g.log.Warn("old evidence could not be deleted", "err", err)
		}
		if err != nil || n < evidenceBatch {
			return
		}
	}
}
