package listen_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"earshot/listen"
)

// faulty is a Placer with a bug.
type faulty struct{ metered bool }

func (f faulty) Metered() (yes, ok bool) {
	if f.metered {
		panic("metered")
	}
	return true, true
}

func (f faulty) Place([]listen.Span, listen.Piece) ([]listen.Span, bool) { panic("placed") }

// TestPanicOfAPlacer: it costs its own body the time, and nothing else: not a byte, not another listener, not the process.
func TestPanicOfAPlacer(t *testing.T) {
	for name, c := range map[string]struct {
		placer listen.Placer
		settle func(*listen.Transfer)
	}{
		"in the settling loop":           {faulty{}, func(*listen.Transfer) { time.Sleep(2 * time.Second) }},
		"metering in the settling loop":  {faulty{metered: true}, func(*listen.Transfer) { time.Sleep(2 * time.Second) }},
		"at the body's end":              {faulty{}, func(f *listen.Transfer) { f.Finish(false) }},
		"where the listener left":        {faulty{}, func(f *listen.Transfer) { f.Finish(true) }},
		"metering where the origin left": {faulty{metered: true}, func(f *listen.Transfer) { f.Broke() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				r := startWith(t, t.TempDir(), "a", func(r *rig) {
					r.book = listen.NewBook(listen.Options{Edge: "edge", Slice: slice, Idle: idle, Recorder: r.recorder, Journal: r.journal,
						Log: slog.New(slog.NewTextHandler(&log, nil))}, "a")
				})
				account := r.book.Account(who("bad"))
				bad := account.Open(listen.Body{Stream: "radio", Length: 500, Placer: c.placer})
				good := tuneIn(r.book, "good")
				bad.Wrote(200)
				c.settle(bad)
				bad.Finish(false)
				good.hear(time.Minute)
				good.leave()
				if s := account.Snapshot(); s.Bytes != 200 || s.Media != 0 || s.Transfers != 0 {
					t.Errorf("%d bytes, %v, %d transfers open", s.Bytes, s.Media, s.Transfers)
				}
				r.stop()
				if n, media := sum(r.events()); n != 200+good.bytes || media != good.media.Milliseconds() {
					t.Errorf("stored %d bytes, %d ms", n, media)
				}
				if n := strings.Count(log.String(), "placing a body panicked"); n != 1 {
					t.Errorf("logged %d times: %s", n, log.String())
				}
			})
		})
	}
}

// TestPanicLeavesNoLock: what no one expected to panic ends one request.
func TestPanicLeavesNoLock(t *testing.T) {
	book := listen.NewBook(listen.Options{}, "a")
	account := book.Account(who("bad"))
	bad := account.Open(listen.Body{Stream: "radio", Length: 500, Placer: listen.NewLive(7, 0), Unsent: func() int64 { panic("unsent") }})
	bad.Wrote(1)
	func() {
		defer func() { _ = recover() }()
		bad.Finish(false)
	}()
	if n := account.Snapshot().Transfers; n != 1 {
		t.Errorf("%d transfers open", n)
	}
}
