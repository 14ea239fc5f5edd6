package gate

import (
	"context"
	"time"

	"earshot/blackout"
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

type evidence struct {
	queue   chan blackout.Evidence
	failing bool // owned by keepEvidence
}

func (e *evidence) init() { e.queue = make(chan blackout.Evidence, evidenceQueue) }

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
	select {
	case g.evidence.queue <- e:
	default:
		g.metrics.evidenceLost(1)
	}
}

// sameRefusal is what evidence has in common that is summed up.
type sameRefusal struct {
	rule, action, session, group, user, ip string
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
	for len(batch) < evidenceQueue {
		select {
		case e := <-g.evidence.queue:
			k := sameRefusal{e.Rule, e.Action, e.SessionID, e.Group, e.UserID, e.IP}
			r := counted[k]
			if r == nil {
				r = new(repeated)
				counted[k] = r
			}
			if r.rows++; r.rows <= evidenceEach {
				batch = append(batch, e)
				continue
			}
			e.Times += r.rest.Times
			r.rest = e
		default:
			return batch
		}
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
