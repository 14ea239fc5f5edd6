package redislive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"earshot/session"
)

const (
	maxMessage = 32 << 10
	quiet      = 2 * time.Second // without a word from Redis, it is asked whether it is there
	firstWait  = 50 * time.Millisecond
	longWait   = 2 * time.Second
)

// Watch tells what other edges do, until ctx is done or the table is closed.
func (t *Table) Watch(ctx context.Context, told func(session.Notice)) error {
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.open, cancel)()
	wait := firstWait
	for {
		heard, err := t.listen(listening, told)
		if heard {
			wait = firstWait
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.open.Done():
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch: %w: %w", session.ErrLive, redis.ErrClosed)
		case <-time.After(wait + rand.N(wait)):
		}
		t.metrics.reconnect()
		t.log.Debug("watching the live table again", "err", err)
		wait = min(2*wait, longWait)
	}
}

// listen is one subscription. heard reports whether it came about. A connection on which nothing comes is asked after, and given up when it is dead: that
// costs no more than an edge that hears of an ending at its next renewal.
func (t *Table) listen(ctx context.Context, told func(session.Notice)) (heard bool, err error) {
	sub := t.redis.Subscribe(ctx) // to nothing yet
	defer sub.Close()
	stop := context.AfterFunc(ctx, func() { sub.Close() })
	defer stop()
	within, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if err := sub.Subscribe(within, t.told); err != nil {
		return false, err
	}
	if _, err := sub.ReceiveTimeout(within, t.timeout); err != nil {
		return false, err
	}
	t.breaker.leave(nil) // who is told to look for himself must not find the door shut
	told(session.Notice{})
	for asked := false; ; {
		v, err := sub.ReceiveTimeout(ctx, quiet)
		if err == nil {
			asked = false
			if m, ok := v.(*redis.Message); ok {
				t.hear(m.Payload, told)
			}
			continue
		}
		var timeout interface{ Timeout() bool }
		if asked || !errors.As(err, &timeout) || !timeout.Timeout() {
			return true, err
		}
		asked = true
		if err := sub.Ping(ctx); err != nil {
			return true, err
		}
	}
}

// message is what scripts publish.
type message struct {
	From  string `json:"from"`
	Ended *struct {
		M      string `json:"m"`
		Reason string `json:"reason"`
		For    int64  `json:"for"` // ms
	} `json:"ended"`
	Taken *struct {
		M string `json:"m"`
	} `json:"taken"`
	Posted bool `json:"posted"`
}

// hear passes a message on if it makes sense and is not this table's own.
func (t *Table) hear(payload string, told func(session.Notice)) {
	n, own, err := parseMessage(payload, t.me)
	if err != nil {
		t.metrics.damage(1)
	} else if !own {
		told(n)
	}
}

func parseMessage(payload, me string) (n session.Notice, own bool, err error) {
	var m message
	if len(payload) > maxMessage {
		return n, false, errReply
	}
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		return n, false, err
	}
	n.Posted = m.Posted
	if m.Ended != nil {
		k, err := parseMember(m.Ended.M)
		if err != nil || len(m.Ended.Reason) > maxText || m.Ended.For < 0 || m.Ended.For > int64(maxSpan/time.Millisecond) {
			return session.Notice{}, false, errReply
		}
		n.Ended = &session.Ending{Key: k, Reason: m.Ended.Reason, For: time.Duration(m.Ended.For) * time.Millisecond}
	}
	if m.Taken != nil {
		k, err := parseMember(m.Taken.M)
		if err != nil {
			return session.Notice{}, false, errReply
		}
		n.Taken = &k
	}
	if n == (session.Notice{}) {
		return n, false, errReply // it tells nothing, and must not be taken for a reconnection
	}
	return n, m.From == me, nil
}
