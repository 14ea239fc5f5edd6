package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// call is a question that is under way, and those who wait for the answer. It belongs to none of them: who leaves leaves the others alone.
type call struct {
	done chan struct{} // closed when answer and err are set

	waiting int // guarded by backend.mu
	over    bool

	answer answer
	err    error
}

// join waits for the answer to a question, which is asked unless somebody did already. about is what two questions must have in common for one
// answer to serve both; the answer is remembered as key's.
func (b *backend) join(ctx context.Context, about, key answerKey, q *question) (answer, error) {
	b.mu.Lock()
	c := b.calls[about]
	if c == nil {
		if b.shut || len(b.calls) >= maxWaiting {
			b.mu.Unlock()
			err := fail("busy", fmt.Errorf("%d questions wait for their turn", maxWaiting))
			b.outcome(err)
			return answer{}, err
		}
		c = &call{done: make(chan struct{})}
		b.calls[about] = c
		own := *q.Request // the caller's may be changed when it has left
		asked := *q
		asked.Request = &own
		b.all.Go(func() { b.carry(c, about, key, &asked) })
	}
	c.waiting++
	b.mu.Unlock()

	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.over { // the answer was there first, and counts on being heard
		return c.answer, c.err
	}
	c.waiting--
	return answer{}, ctx.Err()
}

// carry asks a question.
func (b *backend) carry(c *call, about, key answerKey, q *question) {
	ctx, cancel := context.WithTimeout(b.ctx, b.timeout)
	defer cancel()
	a, err := b.ask(ctx, q)
	if b.ctx.Err() == nil {
		b.outcome(err)
	}
	if err == nil {
		b.known.put(key, a)
	}
	b.mu.Lock()
	c.answer, c.err, c.over = a, err, true
	left := c.waiting == 0
	delete(b.calls, about)
	close(c.done)
	b.mu.Unlock()
	if left && err == nil && a.allow && !q.again {
		b.abandoned(b.removal(q, &a))
	}
}

// removal is that of a session which the backend let begin, and which did not.
func (b *backend) removal(q *question, a *answer) Removal {
	id, _ := b.apply(q, Identity{User: q.user}, a)
	return Removal{SessionID: q.SessionID, Group: q.Group, Kind: q.Kind, Path: q.Path, Host: q.Host, User: id.User, Ticket: id.Ticket,
		Address: q.Address.String(), Agent: q.Agent, At: time.Now()}
}

// outcome counts how a question ended, and logs when the backend stops answering and when it begins to again.
func (b *backend) outcome(err error) {
	if err == nil {
		if b.failing.CompareAndSwap(true, false) {
			b.log.Info("the auth callback answers again")
		}
		return
	}
	reason := "network"
	if f := (*failure)(nil); errors.As(err, &f) {
		reason = f.reason
	}
	b.metrics.failed(reason)
	if b.failing.CompareAndSwap(false, true) {
		b.log.Warn("the auth callback does not answer; those who listen go on, and new listeners are treated as on_error says", "on_error", b.onError, "err", err)
	}
}
