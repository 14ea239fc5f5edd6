package listen_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/listen"
)

// places are who and from where the events are, in order.
func (r *rig) places() (places []string) {
	for _, e := range r.query(`SELECT session_id, stream_key, bytes, duration_ms, session_duration_ms, from_ms, time_ms, state,
		user_id || '/' || device_id || '/' || device_type || '/' || ip || '/' || user_agent || '/' || country, 0 FROM listen_events ORDER BY time_ms, rowid`) {
		places = append(places, e.Reason)
	}
	return slices.Compact(places)
}

const (
	here  = "///192.0.2.1/test/"
	there = "ann/tv/stb/2001:db8::/radio 2/AT"
)

// TestMove: what is heard after a listener has moved is heard there, by the same meters, and the session's row says where he was last.
func TestMove(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%v", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, t.TempDir(), "a")
				listener := tuneIn(r.book, "roamer")
				listener.hear(95 * time.Second)
				a, _ := r.book.Find(who("roamer").Key)
				a.Move("2001:db8::", "radio 2", "AT")
				a.Identify("ann", "tv", "stb")
				a.Identify("", "", "")
				if w := a.Who(); w.IP != "2001:db8::" || w.UserAgent != "radio 2" || w.Country != "AT" || w.UserID != "ann" || w.Edge != "edge" {
					t.Errorf("%+v", w)
				}
				if killed {
					time.Sleep(time.Second) // in which nothing is heard: that alone must be in the journal
					dir, old := r.kill(), r
					r = start(t, dir, "b")
					old.stop()
					next, ok := r.book.Find(who("roamer").Key)
					if !ok || next.Who() != a.Who() {
						t.Fatalf("after the kill: %v, %+v", ok, next.Who())
					}
					time.Sleep(2 * time.Second)
				} else {
					listener.hear(time.Minute)
					listener.leave()
				}
				time.Sleep(idle + time.Minute)
				if got := r.places(); !slices.Equal(got, []string{here, there}) {
					t.Errorf("heard at %q", got)
				}
				rows := r.query(`SELECT session_id, stream_key, bytes, duration_ms, 0, started_ms, ended_ms, 1,
					user_id || '/' || device_id || '/' || device_type || '/' || ip || '/' || user_agent || '/' || country, elapsed_ms FROM sessions`)
				if len(rows) != 1 || rows[0].Reason != there || rows[0].Bytes != listener.bytes || rows[0].MediaMS != listener.media.Milliseconds() {
					t.Errorf("rows %+v; sent were %d bytes, %v", rows, listener.bytes, listener.media)
				}
				r.stop()
			})
		})
	}
}

// TestMoveBack: the journal tells each move, also one back to where it began, and from one file to the next.
func TestMoveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), "a")
		tuneIn(r.book, "roamer").hear(5 * time.Second)
		a, _ := r.book.Find(who("roamer").Key)
		for i, ip := range []string{"198.51.100.1", "203.0.113.9", "192.0.2.1", "198.51.100.1", "192.0.2.1"} {
			time.Sleep(time.Second) // he is in the journal as he was
			a.Move(ip, "test", "")
			time.Sleep(time.Second)
			old := r
			r = start(t, r.kill(), fmt.Sprint("b", i))
			old.stop()
			next, ok := r.book.Find(who("roamer").Key)
			if !ok || next.Who() != a.Who() || next.Who().IP != ip {
				t.Fatalf("move %d: %v, %+v", i, ok, next.Who())
			}
			a = next
		}
		r.stop()
	})
}

// TestMoveOfOneWhoIsGone: who moves after his account was closed is moved where he goes on, or would.
func TestMoveOfOneWhoIsGone(t *testing.T) {
	book := listen.NewBook(listen.Options{}, "a")
	old := book.Account(who("a"))
	book.Discard(old)
	old.Move("198.51.100.1", strings.Repeat("x", 300), "DE")
	if book.Len() != 0 {
		t.Error("he is back without having heard anything")
	}
	old.Open(listen.Body{Stream: "radio", Length: -1, Placer: listen.NewLive(7, 0)})
	next, _ := book.Find(who("a").Key)
	if w := next.Who(); w.IP != "198.51.100.1" || len(w.UserAgent) != 256 || w.Country != "DE" {
		t.Errorf("%+v", w)
	}
	old.Move("203.0.113.9", "", "")
	if w := next.Who(); w.IP != "203.0.113.9" || w.UserAgent != "" || w.Country != "" {
		t.Errorf("%+v", w)
	}
}

// TestMoveBesideAll: whoever asks while a listener moves sees one place or the other, and no mixture.
func TestMoveBesideAll(t *testing.T) {
	book := listen.NewBook(listen.Options{}, "a")
	a := book.Account(who("a"))
	a.Move("1", "1", "1")
	live := listen.NewLive(7, 0)
	body := a.Open(listen.Body{Stream: "radio", Length: -1, Placer: live})
	var moves sync.WaitGroup
	for i := range 4 {
		moves.Go(func() {
			for range 1000 {
				s := fmt.Sprint(i)
				a.Move(s, s, s)
				body.Wrote(1)
			}
		})
	}
	whole := func(w listen.Who) bool { return w.IP == w.UserAgent && w.IP == w.Country && w.Key.ID == "a" }
	for range 1000 {
		if w, s := a.Who(), a.Snapshot(); !whole(w) || !whole(s.Who) {
			t.Fatalf("%+v, %+v", w, s.Who)
		}
	}
	moves.Wait()
	body.Arrived()
	if s := a.Snapshot(); s.Bytes != 4000 {
		t.Errorf("%d bytes", s.Bytes)
	}
}
