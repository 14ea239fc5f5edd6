package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"
)

// fleet is edges that share a table of seats, in front of one live show and one mount.
type fleet struct {
	t      testing.TB // whose end is theirs
	edges  []*outpost
	redis  *redisServer // nil: of a cluster
	studio *studio
	ttl    time.Duration
}

// gateKeys are the keys that edges of a fleet have, besides those of outposts.
const gateKeys = `new_sessions_per_address: 10000
live: %q
on_live_error: %s
on_limit: %s
seat_ttl: %v
auth: {jwt: {secret: %s}, tokens: {app: %s}}
limits: [%s]
`

const appToken = "the-token-of-the-app-in-front-of-all"

// gateOptions are what fleets differ in.
type gateOptions struct {
	edges   int
	url     string // of the table; empty: a Redis of its own
	onError string // [allow]
	onLimit string // [reject]
	limits  string // [one per user]
	ttl     time.Duration
	streams []string // besides
}

func startFleet(t testing.TB, o gateOptions) *fleet {
	t.Helper()
	f := &fleet{t: t, ttl: o.ttl, studio: startStudio(t, &show{name: "live", dated: true, bulk: 8_000}, &show{name: "open", dated: true, bulk: 8_000})}
	if o.url == "" {
		f.redis = startRedis(t)
		o.url = f.redis.url()
	}
	x := startTransmitter(t, 40)
	streams := []string{hlsStream("live", "/live/", f.studio.URL+"/live/"),
		fmt.Sprintf("  - {group: open, path: /open/, hls: %q, auth: none}\n", f.studio.URL+"/open/"),
		icyStream("radio", "/radio.mp3", x.url())}
	streams = append(streams, o.streams...)
	for i := range o.edges {
		e := newOutpost(t, fmt.Sprintf("edge-%c", 'a'+i), "{slice: 2s, idle: 30s, minimum: 1s}", streams)
		text, err := os.ReadFile(e.config)
		if err != nil {
			t.Fatal(err)
		}
		text = fmt.Appendf(text, gateKeys, o.url, or(o.onError, "allow"), or(o.onLimit, "reject"), o.ttl, tokenSecret, appToken,
			or(o.limits, "{per: user, max: 1}"))
		if err := os.WriteFile(e.config, text, 0o600); err != nil {
			t.Fatal(err)
		}
		f.edges = append(f.edges, e)
	}
	var all sync.WaitGroup
	for _, e := range f.edges {
		e.launch(t)
		all.Go(func() { e.waitReady(t) })
	}
	all.Wait()
	return f
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// fan is a listener of the fleet who asks those of its edges in turn; all of them if none is named.
func (f *fleet) fan(t testing.TB, user, device, address string, edges ...int) *fan {
	t.Helper()
	p := &fan{agent: "Player/" + user + "/" + device, address: address}
	if user != "" {
		p.token = tokenOf(t, user, device)
	}
	for _, i := range edges {
		p.edges = append(p.edges, f.edges[i])
	}
	if len(edges) == 0 {
		p.edges = f.edges
	}
	return p
}

// limits are how many seats count under each, as an edge tells.
func (e *outpost) limits() (map[string]int, error) {
	var page struct {
		Limits []struct {
			Name  string
			Taken int
		}
	}
	text, err := get(e.admin + "/admin/v1/limits?limit=1000")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		return nil, err
	}
	all := make(map[string]int)
	for _, l := range page.Limits {
		all[l.Name] = l.Taken
	}
	return all, nil
}

// taken is how many seats count under one limit.
func (e *outpost) taken(t testing.TB, name string) int {
	t.Helper()
	all, err := e.limits()
	if err != nil {
		t.Error(err)
	}
	return all[name]
}

// seats are how many an edge knows of, on all edges.
func (e *outpost) seats(t testing.TB, user string) int {
	t.Helper()
	var page struct{ Seats []struct{} }
	readJSON(t, e.admin+"/admin/v1/seats?limit=1000&user="+url.QueryEscape(user), &page)
	return len(page.Seats)
}

func readJSON(t testing.TB, at string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustGet(t, at)), v); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
}

// want fails the test unless the answer is a refusal of that code; "" is no refusal.
func want(t testing.TB, what string, a answer, code string) {
	t.Helper()
	if code == "" && !a.ok() || code != "" && a.code != code {
		t.Fatalf("%s: %v, want %q", what, a, code)
	}
}

// keepOn plays on for a time, and fails the test if that is refused.
func (f *fan) keepOn(t testing.TB, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		want(t, f.agent+" plays on", f.goOn(), "")
	}
}

// playing plays until stop is called, and reports refusals then.
func (f *fan) playing(t testing.TB) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	var bad []string
	go func() {
		defer close(ended)
		for {
			if a := f.goOn(); !a.ok() {
				bad = append(bad, fmt.Sprintf("%v: %v", time.Now().Format("05.000"), a))
			}
			select {
			case <-done:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	var once sync.Once
	stop = func() {
		t.Helper()
		once.Do(func() {
			close(done)
			<-ended
			if len(bad) > 0 {
				t.Errorf("%s, who plays, is refused %d times, first at %s", f.agent, len(bad), bad[0])
			}
		})
	}
	t.Cleanup(stop)
	return stop
}
