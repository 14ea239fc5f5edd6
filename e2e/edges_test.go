package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// atOncePlus is how long what happens at once on all edges may take on a machine that has other things to do.
const atOncePlus = 5 * time.Second

// TestEdges: three edges and one Redis are one door.
func TestEdges(t *testing.T) {
	t.Parallel()
	f := startFleet(t, gateOptions{edges: 3, ttl: 4 * time.Second})
	var all sync.WaitGroup // not t.Run: each waits for real time to pass, and none needs a core
	for name, test := range map[string]func(t *testing.T, f *fleet){
		"limit": testLimit, "zap": testRoundRobin, "kick": testKick, "ban": testBan, "ban of a session": testBanSession, "app": testApp,
		"shared": testShared, "shared at large": testSharedAtLarge,
	} {
		all.Go(func() { t.Run(name, func(t *testing.T) { test(t, f) }) })
	}
	all.Wait()
	for _, story := range []struct {
		name string
		test func(t *testing.T, f *fleet)
	}{{"blackout", testBlackoutEverywhere}, {"kill", testKilledEdge}, {"ban that lasts", testBanLasts}} {
		t.Run(story.name, func(t *testing.T) { story.test(t, f) })
	}
}

// testLimit: who is at his limit on one edge is refused on all, by either kind of stream.
func testLimit(t *testing.T, f *fleet) {
	first := f.fan(t, "lim", "tv", "192.0.2.10", 0)
	want(t, "the first", first.open("live", ""), "")
	stop := first.playing(t)
	for i := range f.edges {
		other := f.fan(t, "lim", "phone", "198.51.100.10", i)
		want(t, fmt.Sprintf("another device on edge %d", i), other.open("live", ""), "too-many-sessions")
		want(t, fmt.Sprintf("its radio on edge %d", i), other.tune(t, "").answer, "too-many-sessions")
	}
	if n := f.edges[1].taken(t, "user=lim"); n != 1 {
		t.Errorf("%d seats", n)
	}
	began := time.Now()
	stop()
	other := f.fan(t, "lim", "phone", "198.51.100.10", 2)
	eventually(t, 3*f.ttl, "the other plays when the first has gone", func() error {
		if a := other.open("live", ""); !a.ok() {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	if took := time.Since(began); took < f.ttl/2 {
		t.Errorf("he had only to wait for %v", took)
	}
}

// testRoundRobin: each request of one session goes to another edge, and the listener zaps faster than seats expire, by playlist and by radio.
func testRoundRobin(t *testing.T, f *fleet) {
	p := f.fan(t, "zap", "tv", "192.0.2.11")
	for i := range 12 {
		want(t, "zap", p.open([]string{"live", "open"}[i%2], ""), "")
		for range i % 4 {
			time.Sleep(200 * time.Millisecond)
			want(t, "zap", p.goOn(), "")
		}
		if n := f.edges[0].seats(t, "zap"); n > 2 {
			t.Errorf("%d seats", n) // the show that is open to all has no user
		}
	}
	want(t, "zap", p.open("live", ""), "")
	p.keepOn(t, 2*f.ttl)
	if n := f.edges[2].taken(t, "user=zap"); n != 1 {
		t.Errorf("%d seats are taken", n)
	}
	var last *wireless
	for range 6 { // the next is opened before the last is closed
		next := p.tune(t, "")
		want(t, "radio", next.answer, "")
		if last != nil {
			last.end()
		}
		last = next
		time.Sleep(300 * time.Millisecond)
	}
	last.plays(t)
	if n := f.edges[2].taken(t, "user=zap"); n != 1 {
		t.Errorf("%d seats are taken", n)
	}
}

// testKick: the operator of one edge ends a session; wherever it plays it is over.
func testKick(t *testing.T, f *fleet) {
	p := f.fan(t, "kicked", "tv", "192.0.2.12", 2)
	want(t, "kicked", p.open("live", ""), "")
	mustCall(t, http.StatusNoContent, http.MethodDelete, f.edges[0].admin+"/admin/v1/sessions/"+p.session(), "", nil)
	eventually(t, atOncePlus, "the next request is refused", func() error {
		if a := p.goOn(); a.status != http.StatusGone || a.code != "ended" {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	cold := &fan{agent: p.agent, address: p.address, edges: f.edges[1:2], media: p.media} // an edge that has never seen it
	if a := cold.goOn(); a.status != http.StatusGone || a.code != "ended" {
		t.Errorf("on another edge: %v", a)
	}

	radio := f.fan(t, "kicked-radio", "tv", "192.0.2.13", 1).tune(t, "&X-Playback-Session-Id=kicked-radio")
	want(t, "radio", radio.answer, "")
	radio.plays(t)
	mustCall(t, http.StatusNoContent, http.MethodDelete, f.edges[0].admin+"/admin/v1/sessions/kicked-radio", "", nil)
	radio.cut(t, atOncePlus)
	again := f.fan(t, "kicked-radio", "tv", "192.0.2.13", 2).tune(t, "&X-Playback-Session-Id=kicked-radio")
	want(t, "the same session", again.answer, "ended")
	want(t, "a new one", f.fan(t, "kicked-radio", "tv", "192.0.2.13", 2).tune(t, "").answer, "")
}

// testBan: a user who is banned on one edge is cut on all, and nobody else is.
func testBan(t *testing.T, f *fleet) {
	radio := f.fan(t, "banned", "radio", "192.0.2.14", 1)
	listening := radio.tune(t, "")
	want(t, "radio", listening.answer, "")
	other := f.fan(t, "neighbour", "tv", "192.0.2.14", 2)
	want(t, "the neighbour", other.open("live", ""), "")
	listening.plays(t)
	ban := mustCall(t, http.StatusCreated, http.MethodPost, f.edges[0].admin+"/admin/v1/bans", "", map[string]any{"user": "banned", "for": "1h", "reason": "a test"})
	listening.cut(t, atOncePlus)
	for i := range f.edges {
		p := f.fan(t, "banned", "tv", "203.0.113.77", i)
		if a := p.open("live", ""); a.status != http.StatusForbidden || a.code != "banned" {
			t.Errorf("on edge %d: %v", i, a)
		}
	}
	other.keepOn(t, 2*time.Second)
	mustCall(t, http.StatusNoContent, http.MethodDelete, f.edges[1].admin+"/admin/v1/bans/"+fmt.Sprint(ban["id"]), "", nil)
	eventually(t, atOncePlus, "he is let in again everywhere", func() error {
		for i := range f.edges {
			if a := f.fan(t, "banned", "tv", "203.0.113.77", i).open("live", ""); !a.ok() {
				return fmt.Errorf("edge %d: %v", i, a)
			}
		}
		return nil
	})
}

// testBanSession: whoever plays a session is banned; without a user that is his address and agent.
func testBanSession(t *testing.T, f *fleet) {
	p, other := f.fan(t, "", "rogue", "192.0.2.15", 2), f.fan(t, "", "honest", "192.0.2.15", 2)
	want(t, "rogue", p.open("open", ""), "")
	want(t, "honest", other.open("open", ""), "")
	mustCall(t, http.StatusCreated, http.MethodPost, f.edges[0].admin+"/admin/v1/bans", "", map[string]any{"session": p.session(), "for": "1h"})
	eventually(t, atOncePlus, "the next request is refused", func() error {
		if a := p.goOn(); a.status != http.StatusForbidden || a.code != "banned" {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	want(t, "a new session on another edge", f.fan(t, "", "rogue", "192.0.2.15", 1).open("open", ""), "banned")
	other.keepOn(t, time.Second)
}

// testApp: an app makes a session on one edge; it plays on the next, is seen on the third, and stopped there.
func testApp(t *testing.T, f *fleet) {
	sessions := func(i int) string { return f.edges[i].listen + "/api/v1/users/apps/media_play_sessions" }
	made := mustCall(t, http.StatusCreated, http.MethodPost, sessions(0), appToken, map[string]any{"service": "live", "device_type": "stb", "device_id": "box"})
	id := fmt.Sprint(made["data"].(map[string]any)["id"])
	status, refused := call(t, http.MethodPost, sessions(1), appToken, map[string]any{"service": "live", "device_type": "phone", "device_id": "pad"})
	if status != http.StatusForbidden {
		t.Errorf("a second session of the user: %d %v", status, refused)
	}
	p := f.fan(t, "apps", "box", "192.0.2.16", 1)
	want(t, "another session of his", f.fan(t, "apps", "pad", "192.0.2.17", 1).open("live", ""), "too-many-sessions")
	want(t, "the session that the app made", p.open("live", "&X-Playback-Session-Id="+id), "")
	if p.session() != id {
		t.Errorf("he plays as %q, and the app made %q", p.session(), id)
	}
	if n := f.edges[2].taken(t, "user=apps"); n != 1 {
		t.Errorf("%d seats", n)
	}
	list := mustCall(t, http.StatusOK, http.MethodGet, sessions(2), appToken, nil)["data"].([]any)
	if len(list) != 1 {
		t.Fatalf("the list on another edge: %v", list)
	}
	row := list[0].(map[string]any)
	at := row["attributes"].(map[string]any)
	if row["id"] != id || at["stream"] != "live" || at["service"] != "live" || at["device_type"] != "stb" || at["ip4_address"] != "192.0.2.16" {
		t.Errorf("on another edge: %v", row)
	}
	mustCall(t, http.StatusNoContent, http.MethodDelete, f.edges[2].listen+"/api/v1/media_play_sessions/"+id, appToken, nil)
	if n := f.edges[0].taken(t, "user=apps"); n != 0 {
		t.Errorf("%d seats after it was stopped", n)
	}
	want(t, "another session of his", f.fan(t, "apps", "pad", "192.0.2.17", 0).open("live", ""), "")

	own := mustCall(t, http.StatusOK, http.MethodGet, sessions(2), tokenOf(t, "apps", "pad"), nil)["data"].([]any) // by the user's own token
	if len(own) != 1 || own[0].(map[string]any)["attributes"].(map[string]any)["stream"] != "live" {
		t.Errorf("what plays by itself: %v", own)
	}
	if status, _ := call(t, http.MethodGet, sessions(1), tokenOf(t, "somebody", ""), nil); status != http.StatusForbidden {
		t.Errorf("another user's token: %d", status)
	}
}

// testShared: two listeners use one id and grant on two edges. The later one is told apart, and for him there is no seat; the first hears nothing of it.
func testShared(t *testing.T, f *fleet) {
	first := f.fan(t, "sharer", "", "192.0.2.18", 0)
	want(t, "the first", first.open("live", ""), "")
	first.keepOn(t, time.Second)
	stop := first.playing(t)
	second := &fan{agent: "Another player", address: "198.51.100.18", edges: f.edges[1:2], media: first.media}
	eventually(t, 8*f.ttl, "the second is refused", func() error {
		a := second.goOn()
		if a.code == "too-many-sessions" {
			return nil
		}
		time.Sleep(250 * time.Millisecond)
		return fmt.Errorf("%v", a)
	})
	for range 10 {
		time.Sleep(200 * time.Millisecond)
		want(t, "the second goes on asking", second.goOn(), "too-many-sessions")
	}
	stop()
}

// testSharedAtLarge: where there is no limit, the later one is given an id of his own.
func testSharedAtLarge(t *testing.T, f *fleet) {
	first := f.fan(t, "", "sharer", "192.0.2.19", 0)
	want(t, "the first", first.open("open", ""), "")
	first.keepOn(t, time.Second)
	stop := first.playing(t)
	second := &fan{agent: "Another player", address: "198.51.100.19", edges: f.edges[1:2], media: first.media}
	var id string
	eventually(t, 8*f.ttl, "the second has an id of his own", func() error {
		time.Sleep(250 * time.Millisecond)
		a := second.goOn()
		m, err := readManifest(second.media, string(a.body))
		if err != nil || len(m.segments) == 0 {
			return fmt.Errorf("%v", a)
		}
		if id = m.segments[0].url.Query().Get("X-Playback-Session-Id"); id == first.session() {
			return fmt.Errorf("he plays as the first does")
		}
		return nil
	})
	stop()
	a := first.goOn()
	m, err := readManifest(first.media, string(a.body))
	if err != nil || len(m.segments) == 0 || m.segments[0].url.Query().Get("X-Playback-Session-Id") != first.session() {
		t.Errorf("the first plays as another: %v %v", a, err)
	}
}

// testBlackoutEverywhere: a rule that is added on one edge holds on the others, for those who play too, and is over when it is ended.
func testBlackoutEverywhere(t *testing.T, f *fleet) {
	p := f.fan(t, "watcher", "tv", "192.0.2.20", 1)
	want(t, "before", p.open("live", ""), "")
	radio := f.fan(t, "hearer", "tv", "192.0.2.21", 2).tune(t, "")
	want(t, "before", radio.answer, "")
	mustCall(t, http.StatusCreated, http.MethodPost, f.edges[0].admin+"/admin/v1/blackouts", "",
		map[string]any{"id": "derby", "streams": []string{"live", "radio"}, "where": map[string]any{"network": []string{"192.0.2.20/31"}}, "message": "not here"})
	radio.cut(t, atOncePlus)
	eventually(t, atOncePlus, "the next request is refused", func() error {
		if a := p.goOn(); a.status != http.StatusForbidden || a.code != "blackout" || a.detail != "not here" {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	want(t, "who is elsewhere", f.fan(t, "elsewhere", "tv", "203.0.113.5", 1).open("live", ""), "")
	mustCall(t, http.StatusNoContent, http.MethodDelete, f.edges[2].admin+"/admin/v1/blackouts/derby", "", nil)
	eventually(t, atOncePlus, "he goes on", func() error {
		if a := p.goOn(); !a.ok() {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
}

// testKilledEdge: the seats of an edge that is killed expire, and its listeners play elsewhere.
func testKilledEdge(t *testing.T, f *fleet) {
	radio := f.fan(t, "orphan", "radio", "192.0.2.22", 2).tune(t, "")
	want(t, "radio", radio.answer, "")
	time.Sleep(f.ttl / 2)
	radio.plays(t)
	f.edges[2].kill(t)
	killed := time.Now()
	radio.cut(t, atOncePlus)
	other := f.fan(t, "orphan", "phone", "198.51.100.22", 0)
	if a := other.open("live", ""); time.Since(killed) < f.ttl/2 {
		want(t, "another device at once", a, "too-many-sessions")
	}
	eventually(t, f.ttl+10*time.Second, "another device", func() error {
		if a := other.open("live", ""); !a.ok() {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	if took := time.Since(killed); took < f.ttl/3 {
		t.Errorf("the seat was free after %v", took)
	}
	f.edges[2].launch(f.t)
	f.edges[2].waitReady(t)
}

// testBanLasts: a ban outlives the restart of every edge, and Redis's forgetting.
func testBanLasts(t *testing.T, f *fleet) {
	mustCall(t, http.StatusCreated, http.MethodPost, f.edges[1].admin+"/admin/v1/bans", "", map[string]any{"user": "exile", "for": "1h"})
	everywhere := func(when string) {
		t.Helper()
		for i := range f.edges {
			if a := f.fan(t, "exile", "tv", "203.0.113.78", i).open("live", ""); a.code != "banned" {
				t.Errorf("%s, on edge %d: %v", when, i, a)
			}
		}
	}
	eventually(t, atOncePlus, "all edges know", func() error {
		for i := range f.edges {
			if a := f.fan(t, "exile", "tv", "203.0.113.78", i).open("live", ""); a.code != "banned" {
				return fmt.Errorf("edge %d: %v", i, a)
			}
		}
		return nil
	})
	for _, e := range f.edges {
		e.proc.signal(syscall.SIGTERM)
	}
	for _, e := range f.edges {
		if err := e.proc.wait(t, 20*time.Second); err != nil {
			t.Errorf("an edge, asked to stop: %v", err)
		}
	}
	for _, e := range f.edges {
		e.launch(f.t)
	}
	for _, e := range f.edges {
		e.waitReady(t)
	}
	everywhere("after a restart of all edges")
	if err := f.redis.ask.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	everywhere("after Redis was emptied")
	time.Sleep(f.ttl)
	everywhere("after a while")
	if n, err := f.redis.ask.DBSize(context.Background()).Result(); err != nil || n == 0 {
		t.Errorf("nobody has told Redis of it: %v", err)
	}
	f.edges[0].kill(t)
	f.edges[0].launch(f.t)
	f.edges[0].waitReady(t)
	everywhere("after one was killed")
}

// TestEdgesEndOldest: the newcomer on one edge ends the one who began first on another, who may not take his place back at once.
func TestEdgesEndOldest(t *testing.T) {
	t.Parallel()
	f := startFleet(t, gateOptions{edges: 2, ttl: 4 * time.Second, onLimit: "end-oldest"})
	tv, tablet := f.fan(t, "ann", "tv", "192.0.2.30", 0), f.fan(t, "ann", "tablet", "192.0.2.31", 1)
	want(t, "tv", tv.open("live", ""), "")
	tv.keepOn(t, time.Second)
	want(t, "tablet", tablet.open("live", ""), "")
	eventually(t, atOncePlus, "the first is over", func() error {
		if a := tv.goOn(); a.code != "ended" || a.status != http.StatusGone {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	want(t, "it may not come back at once", tv.open("live", ""), "too-many-sessions")
	stop := tablet.playing(t)
	want(t, "nor on the other edge", f.fan(t, "ann", "tv", "192.0.2.30", 1).open("live", ""), "too-many-sessions")
	stop()

	radio := f.fan(t, "bob", "radio", "192.0.2.32", 0).tune(t, "")
	want(t, "radio", radio.answer, "")
	radio.plays(t)
	want(t, "bob's tv", f.fan(t, "bob", "tv", "192.0.2.33", 1).open("live", ""), "")
	radio.cut(t, atOncePlus)
}
