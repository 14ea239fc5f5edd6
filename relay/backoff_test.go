package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble is a relay whose origins are reached through dial, in the time of the bubble.
func inBubble(t *testing.T, opt Options, dial func(host string) (net.Conn, error), use func(r *Relay)) {
	synctest.Test(t, func(t *testing.T) {
		opt.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(addr)
			return dial(host)
		}
		r := New(opt)
		use(r)
		if err := r.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // the origins notice
	})
}

// piped is a connection to an origin that serves so.
func piped(serve func(c net.Conn)) net.Conn {
	edge, far := net.Pipe()
	go func() {
		defer far.Close()
		b := make([]byte, 4096)
		if _, err := far.Read(b); err == nil {
			serve(far)
		}
	}()
	return edge
}

// broadcasts sends frames of a station in real time, for so long.
func broadcasts(station byte, d time.Duration) func(c net.Conn) {
	return func(c net.Conn) {
		fmt.Fprintf(c, icecastHead, 0)
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(framesTime(10)) {
			if _, err := c.Write(on(station, 10)); err != nil {
				return
			}
		}
	}
}

// asked notes when an origin was.
type asked struct {
	mu    sync.Mutex
	times []time.Time
}

func (a *asked) now() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Now())
}

// A source that is gone is asked for often at first, as listeners still have something to hear; then less and less, by
// how long it has been gone.
func TestBackoff(t *testing.T) {
	var a asked
	var began time.Time
	inBubble(t, Options{}, func(string) (net.Conn, error) { a.now(); return nil, errors.New("down") }, func(r *Relay) {
		began = time.Now()
		r.Start([]Mount{{Key: "k", Origins: []string{"http://a/"}, AlwaysOn: true}})
		time.Sleep(time.Hour)
	})
	early, last := 0, began
	for _, at := range a.times {
		gone, gap := at.Sub(began), at.Sub(last)
		if gone <= 10*time.Second {
			early++
		}
		if most := min(max(time.Second, gone/8), lastRetry); gap > most {
			t.Errorf("after %v: not asked for %v", gone, gap)
		}
		if last = at; gone > 5*time.Minute && gap < lastRetry/2 {
			t.Errorf("after %v: asked again after %v", gone, gap)
		}
	}
	if n := len(a.times); early < 8 || early > 25 || n > 600 {
		t.Errorf("asked %d times within 10 s, %d within an hour", early, n)
	}
}

// What was hours ago does not count: one that stands in at once is asked at once, also after a night of failures and a
// return.
func TestFailuresAreForgottenOnceItServes(t *testing.T) {
	var up, fallback asked
	var began, lost time.Time
	inBubble(t, Options{}, func(host string) (net.Conn, error) {
		switch since := time.Since(began); {
		case since < 3*time.Minute: // both are down
		case host == "b":
			if !lost.IsZero() {
				fallback.now()
			}
			return piped(broadcasts(2, time.Hour)), nil
		case since > 10*time.Minute && lost.IsZero():
			up.now()
			return piped(func(c net.Conn) { broadcasts(1, 2*time.Second)(c); lost = time.Now() }), nil
		}
		return nil, errors.New("down")
	}, func(r *Relay) {
		began = time.Now()
		r.Start([]Mount{{Key: "k", Origins: []string{"http://a/", "http://b/"}, AlwaysOn: true}})
		time.Sleep(15 * time.Minute)
	})
	if len(up.times) == 0 || len(fallback.times) == 0 {
		t.Fatalf("returned %d times, and fell back %d", len(up.times), len(fallback.times))
	}
	if d := fallback.times[0].Sub(lost); d > time.Second {
		t.Errorf("the fallback was asked %v after the loss", d)
	}
}

// A server of files sends as fast as it can. That is heard at the pace of the audio, whatever number of times it is
// connected, and the ring does not run away from who plays it.
func TestFasterThanTime(t *testing.T) {
	file := mp3(7000) // three minutes
	for _, size := range []int{len(file), 40 * frameBytes} {
		inBubble(t, Options{}, func(string) (net.Conn, error) {
			return piped(func(c net.Conn) {
				fmt.Fprintf(c, icecastHead, 0)
				for at := 0; at < size; at += 10 * frameBytes {
					if _, err := c.Write(file[at : at+10*frameBytes]); err != nil {
						return
					}
				}
			}), nil
		}, func(r *Relay) {
			r.Start([]Mount{{Key: "k", Origins: []string{"http://a/"}, AlwaysOn: true}})
			began := time.Now()
			for range 60 {
				time.Sleep(10 * time.Second)
				h, _ := r.Find("k")
				h.ring.mu.Lock()
				media := time.Duration(h.ring.media)
				h.ring.mu.Unlock()
				if ahead := media - time.Since(began); ahead > time.Minute+10*time.Second {
					t.Errorf("%d bytes each: %v ahead after %v", size, ahead, time.Since(began))
					return
				} else if size == len(file) && ahead < 0 {
					t.Errorf("it has fallen behind by %v", -ahead)
				}
			}
		})
	}
}
