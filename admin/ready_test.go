package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type readyAnswer struct {
	status int
	Ready  bool
	Checks []result
}

// ask asks /readyz without a socket, so that the clock may be synctest's.
func (e *edge) ask(t *testing.T) (a readyAnswer) {
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		t.Errorf("%v: %s", err, rec.Body)
	}
	a.status = rec.Code
	return a
}

func (a readyAnswer) want(t *testing.T, status int, checks ...result) {
	t.Helper()
	if a.status != status || a.Ready != (status == http.StatusOK) || len(a.Checks) != len(checks) {
		t.Fatalf("got %+v, want %d %+v", a, status, checks)
	}
	for i, c := range checks {
		if a.Checks[i] != c {
			t.Errorf("got %+v, want %+v", a.Checks[i], c)
		}
	}
}

func TestReadySaysWhatIsNotReady(t *testing.T) {
	e := newEdge(Options{Checks: []Check{
		{"store", func(context.Context) error { return nil }},
		{"disk", func(context.Context) error { return errors.New(`no space left on "device"`) }},
	}})
	url := e.serve(t)
	resp, body := get(t, "GET", url+"/readyz")
	want := `{"ready":false,"checks":[{"name":"store","ok":true},{"name":"disk","ok":false,"error":"no space left on \"device\""}]}` + "\n"
	if resp.StatusCode != http.StatusServiceUnavailable || body != want {
		t.Errorf("got %s %s", resp.Status, body)
	}
}

func TestDrain(t *testing.T) {
	var asked atomic.Int32
	e := newEdge(Options{Checks: []Check{{"store", func(context.Context) error { asked.Add(1); return nil }}}})
	e.ask(t).want(t, http.StatusOK, result{"store", true, ""})
	e.Drain()
	e.Drain()
	e.ask(t).want(t, http.StatusServiceUnavailable, result{"draining", false, "the edge is shutting down"})
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if resp, _ := get(t, "GET", e.serve(t)+"/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("draining, /healthz answers %s", resp.Status)
	}
}

func TestReadyIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, atOnce atomic.Int32
		e := newEdge(Options{Checks: []Check{{"store", func(context.Context) error {
			if atOnce.Add(1) > 1 {
				t.Error("two probes at once")
			}
			time.Sleep(100 * time.Millisecond)
			asked.Add(1)
			atOnce.Add(-1)
			return nil
		}}}})
		var done sync.WaitGroup
		for range 50 {
			done.Go(func() { e.ask(t).want(t, http.StatusOK, result{"store", true, ""}) })
		}
		done.Wait()
		time.Sleep(readyFor - time.Nanosecond)
		e.ask(t)
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times within a second", n)
		}
		time.Sleep(time.Nanosecond)
		e.ask(t)
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times, a second later", n)
		}
	})
}

func TestProbesRunAtOnceAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		e := newEdge(Options{Checks: []Check{{"a", slow}, {"b", slow}, {"c", func(context.Context) error { return nil }}}})
		began := time.Now()
		e.ask(t).want(t, http.StatusServiceUnavailable,
			result{"a", false, "no answer within 2s"}, result{"b", false, "no answer within 2s"}, result{"c", true, ""})
		if took := time.Since(began); took != probeTimeout {
			t.Errorf("took %v", took)
		}
	})
}

// A probe that ignores its context must neither hold the answer nor pile up, and what it says at last is stale.
func TestHungProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var begun atomic.Int32
		release := make(chan struct{})
		e := newEdge(Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Checks: []Check{{"disk", func(context.Context) error {
			if begun.Add(1) == 1 {
				<-release
				return errors.New("stale")
			}
			return nil
		}}}})
		for range 3 {
			e.ask(t).want(t, http.StatusServiceUnavailable, result{"disk", false, "no answer within 2s"})
			time.Sleep(readyFor)
		}
		if n := begun.Load(); n != 1 {
			t.Errorf("%d probes begun", n)
		}
		close(release)
		synctest.Wait()
		e.ask(t).want(t, http.StatusOK, result{"disk", true, ""})
		if got := strings.Count(log.String(), "\n"); got != 2 || !strings.Contains(log.String(), `msg="ready again" check=disk`) {
			t.Errorf("logged %d lines:\n%s", got, &log)
		}
	})
}
