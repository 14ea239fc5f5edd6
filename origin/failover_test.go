package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// value is the first of a metric's values.
func value(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}

// TestReturn: with the first origin gone the second serves; the first is asked no more, but for a trial now and then that no listener
// waits for; and it is preferred again once it is back.
func TestReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		var log strings.Builder
		registry := prometheus.NewRegistry()
		c := n.client(t, Options{Metrics: NewMetrics(registry), Log: slog.New(slog.NewTextHandler(&log, nil))})
		n.lost("a:80")
		n.up("b:80", always(200))
		for range 3 {
			if status, err := get(t, c, "/x?token=secret", "a", "b"); status != 200 {
				t.Fatal(status, err)
			}
		}
		if got := n.seen("a:80"); got != "dial dial dial" {
			t.Errorf("the first origin: %s", got)
		}
		if value(t, registry, "earshot_origin_up") != 0 || value(t, registry, "earshot_origin_failovers_total") != 3 {
			t.Error("metrics do not say that it is down")
		}
		began := time.Now()
		for range 600 {
			if status, err := get(t, c, "/x", "a", "b"); status != 200 {
				t.Fatal(status, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("listeners waited %v for trials", took-time.Minute)
		}
		if trials := len(strings.Fields(n.seen("a:80"))); trials < 4 || trials > 9 {
			t.Errorf("%d trials in a minute", trials)
		}
		n.up("a:80", always(200))
		time.Sleep(time.Minute) // the longest rest, and a trial that had begun
		n.seen("b:80")
		for range 3 {
			if status, err := get(t, c, "/x", "a", "b"); status != 200 {
				t.Fatal(status, err)
			}
			synctest.Wait()
		}
		if a, b := n.seen("a:80"), n.seen("b:80"); a != "/x /x /x" || b != "/x" {
			t.Errorf("the first was asked for %q, the second for %q", a, b)
		}
		if got := log.String(); strings.Count(got, "an origin is down") != 1 || strings.Count(got, "an origin is back") != 1 || strings.Contains(got, "secret") {
			t.Errorf("the log is\n%s", got)
		}
		if value(t, registry, "earshot_origin_up") != 1 {
			t.Error("metrics do not say that it is back")
		}
	})
}

// TestFast: with every origin out requests fail at once, with the class of the last failure; after the rest one is the trial, and the
// others wait for it.
func TestFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		n.lost("a:80")
		for range 3 {
			if _, err := get(t, c, "/x", "a"); !errors.Is(err, ErrTimeout) {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if _, err := get(t, c, "/x", "a"); !errors.Is(err, ErrTimeout) || time.Since(began) != 0 {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		n.seen("a:80")
		n.up("a:80", func(string) (int, time.Duration) { return 200, time.Second })
		time.Sleep(time.Second)
		began = time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if status, err := get(t, c, "/x", "a"); status != 200 {
					t.Error(status, err)
				}
			})
		}
		time.Sleep(time.Second / 2)
		if got := n.seen("a:80"); got != "/x" {
			t.Errorf("during the trial it was asked for %s", got)
		}
		all.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("served after %v", took)
		}
	})
}

// TestTrialHangs: nobody waits for a trial for longer than a connection may take.
func TestTrialHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		for range 3 {
			_, _ = get(t, c, "/x", "a")
		}
		n.up("a:80", always(0))
		time.Sleep(time.Second)
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := get(t, c, "/x", "a"); !errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
		})
		synctest.Wait()
		began := time.Now()
		if _, err := get(t, c, "/x", "a"); !errors.Is(err, ErrUnreachable) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		leaving, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, _, err := c.do(leaving, http.MethodGet, one("http://a/x"), nil); err == nil || time.Since(began) != 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		all.Wait()
	})
}

// TestBadPath: what one path answers is no matter of the others, with an origin behind and without.
func TestBadPath(t *testing.T) {
	for name, bad := range map[string]func(string) (int, time.Duration){
		"500": func(path string) (int, time.Duration) {
			if path == "/bad" {
				return 500, 0
			}
			return 200, 0
		},
		"silence": func(path string) (int, time.Duration) {
			if path == "/bad" {
				return 0, 0
			}
			return 200, 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				c := n.client(t, Options{})
				n.up("a:80", bad)
				n.up("b:80", always(404)) // a stand-in that lacks the thing
				for range 20 {
					if _, err := get(t, c, "/bad", "a"); err == nil {
						t.Fatal("served")
					}
				}
				if status, err := get(t, c, "/good", "a"); status != 200 {
					t.Errorf("alone: %d, %v", status, err)
				}
				for range 20 {
					if _, err := get(t, c, "/bad", "a"); err == nil {
						t.Fatal("served")
					}
				}
				if status, err := get(t, c, "/good", "a", "b"); status != 200 {
					t.Errorf("with another: %d, %v", status, err)
				}
				if status, err := get(t, c, "/bad", "a", "b"); status != 404 {
					t.Errorf("the bad one: %d, %v", status, err)
				}
			})
		})
	}
}

// TestRetries: an origin that answers 500 to everything but often enough to stay in does not double the load on the next for ever.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		registry := prometheus.NewRegistry()
		c := n.client(t, Options{Metrics: NewMetrics(registry)})
		n.up("a:80", func(path string) (int, time.Duration) {
			if path == "/good" {
				return 200, 0
			}
			return 500, 0
		})
		n.up("b:80", always(200))
		served := 0
		for range 300 {
			status, err := get(t, c, "/x", "a", "b")
			if status == 200 {
				served++
			} else if said := (*StatusError)(nil); !errors.As(err, &said) || said.Status != 500 {
				t.Fatal(status, err)
			}
			if status, err := get(t, c, "/good", "a", "b"); status != 200 {
				t.Fatal(status, err)
			}
		}
		if served < 165 || served > 175 { // 50, and 600 / 5
			t.Errorf("%d of 300 went on to the other", served)
		}
		if denied := value(t, registry, "earshot_origin_retries_denied_total"); denied != float64(300-served) {
			t.Errorf("%v denied", denied)
		}
	})
}

// TestManyAtOnce: all who are waiting for an origin when it goes get what they came for from the next.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		n.lost("a:80")
		n.up("b:80", always(200))
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				if status, err := get(t, c, "/x", "a", "b"); status != 200 {
					t.Error(status, err)
				}
			})
		}
		all.Wait()
	})
}

// TestReloads: what an origin says to a blocking reload speaks of the request.
func TestReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		n.up("a:80", always(503))
		for range 10 {
			if _, err := get(t, c, "/x?_HLS_msn=99", "a"); !errors.Is(err, ErrAnswer) {
				t.Fatal(err)
			}
		}
		if got, _ := c.fetcher.origins.of("http://a/").stand(); got != up {
			t.Error("it is out")
		}
	})
}

// TestPatience: a blocking reload may be held for three target durations, and beyond that as long as any answer may take.
func TestPatience(t *testing.T) {
	for target, want := range map[time.Duration]time.Duration{0: 45 * time.Second, 6 * time.Second: 45 * time.Second, 20 * time.Second: 75 * time.Second,
		time.Hour: 3*maxTarget + 15*time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var n network
			c := n.client(t, Options{})
			n.up("a:80", always(0))
			began := time.Now()
			_, _, err := c.do(t.Context(), http.MethodGet, Source{URLs: []string{"http://a/x?_HLS_msn=4"}, Target: target}, nil)
			if took := time.Since(began); !errors.Is(err, ErrTimeout) || took != want {
				t.Errorf("target %v: %v after %v, want %v", target, err, took, want)
			}
		})
	}
}

// TestLeavers: a listener who leaves says nothing of the origin.
func TestLeavers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		n.up("a:80", always(0))
		for i := range 10 {
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			if _, _, err := c.do(ctx, http.MethodGet, one(fmt.Sprintf("http://a/%d", i)), nil); err == nil {
				t.Error("served")
			}
			leave()
		}
		if got, _ := c.fetcher.origins.of("http://a/").stand(); got != up {
			t.Error("it is out")
		}
	})
}

// TestClosing: a client that closes does not wait for its trials.
func TestClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		c := n.client(t, Options{})
		n.up("b:80", always(200))
		for range 3 {
			_, _ = get(t, c, "/x", "a", "b")
		}
		n.up("a:80", always(0))
		time.Sleep(time.Second)
		_, _ = get(t, c, "/x", "a", "b")
		synctest.Wait()
		began := time.Now()
		c.Close()
		if n.seen("a:80") != "dial dial dial /x" || time.Since(began) != 0 {
			t.Errorf("closed after %v", time.Since(began))
		}
	})
}

// TestRealFailures: what real sockets do, each with an origin behind that serves.
func TestRealFailures(t *testing.T) {
	t.Parallel()
	for name, behave := range map[string]func(net.Conn){
		"reset": func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) },
		"close": func(net.Conn) {},
		"noise": func(conn net.Conn) { _, _ = io.WriteString(conn, "hello\r\n\r\n") },
		"hang":  func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"1xx":   func(conn net.Conn) { flood(conn, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") },
		"long":  func(conn net.Conn) { flood(conn, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: y\r\n", 100_000)) },
		"500":   func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, good := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "good") })
			c, bad := serveRaw(t, Options{HeaderTimeout: time.Second}, behave)
			for range 8 {
				resp, cancel, err := c.do(t.Context(), http.MethodGet, Source{URLs: []string{bad + "/x", good + "/x"}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(resp.Body); string(body) != "good" {
					t.Errorf("%q, %v", body, err)
				}
				resp.Body.Close()
				cancel()
			}
		})
	}
}

// flood writes a text again and again until nobody reads.
func flood(conn net.Conn, text string) {
	for range 10_000 {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
	}
}
