package listen

import (
	"context"
	"fmt"
	"time"

	"earshot/session"
)

// Save brings what an earlier process left in the spill file and in the journal to the store; what the store does not take, to
// the spill file. The spill file goes first: its events are whole, where the journal may hold an earlier state of the same ones, and the
// store keeps what it gets first. Call it before the Book runs. When both fail the journal's files are kept for the next start.
func (r *Recovered) Save(ctx context.Context, j *Journal, store Store, spill *Spill) (stored int, err error) {
	save := func(batch []Event) error {
		n, err := store.Append(ctx, batch)
		stored += n
		return err
	}
	events := r.Events()
	err = spill.Replay(maxBatch, save)
	for err == nil && len(events) > 0 {
		batch := events[:min(len(events), maxBatch)]
		if err = save(batch); err == nil {
			events = events[len(batch):]
		}
	}
	if err == nil || len(events) == 0 {
		return stored, nil
	}
	if spillErr := spill.Append(events); spillErr != nil {
		j.keep = true
		return stored, fmt.Errorf("recover journal: %w; and %w", err, spillErr)
	}
	return stored, nil
}

// Restore opens the accounts that were heard since since, with what they have been given of the timeline, so that what a
// player fetches again after a restart is not counted again.
func (b *Book) Restore(r *Recovered, since time.Time) {
	for i := range r.Accounts {
		old := &r.Accounts[i]
		if old.LastMS < since.UnixMilli() {
			b.remember(old.Who.Key, old.reason)
			continue
		}
		a := b.Account(old.Who)
		a.mu.Lock()
		a.covered = old.covered
		a.startMS, a.lastMS = old.StartMS, old.LastMS
		a.reason = old.reason
		a.mu.Unlock()
	}
}

// ending tells whether a session has been heard since t, and if it has ended, why.
func (b *Book) ending(k session.Key, t time.Time) (heard bool, reason Reason) {
	if a, ok := b.Find(k); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.lastMS >= t.UnixMilli(), a.reason
	}
	b.endedMu.Lock()
	defer b.endedMu.Unlock()
	return false, b.ended[k]
}

// finalised lets go of why sessions ended: it is in their rows.
func (b *Book) finalised(closing []Closing) {
	for _, c := range closing {
		if a, ok := b.Find(c.Key); ok {
			a.mu.Lock()
			a.finalisedMS = a.lastMS
			a.mu.Unlock()
		}
		b.endedMu.Lock()
		delete(b.ended, c.Key)
		b.endedMu.Unlock()
	}
}

// remember keeps why a session ended until it is finalised. When there are too many, any one makes room.
func (b *Book) remember(k session.Key, reason Reason) {
	if reason == "" {
		return
	}
	b.endedMu.Lock()
	defer b.endedMu.Unlock()
	if len(b.ended) >= maxRemembered {
		for other := range b.ended {
			delete(b.ended, other)
			break
		}
	}
	b.ended[k] = reason
}

// maxRemembered bounds the reasons kept while the store does not let sessions be finalised.
const maxRemembered = 100_000
