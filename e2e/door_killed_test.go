package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kill ends the edge as the kernel would, and starts it again on the same data.
func (d *gated) kill(t testing.TB) {
	t.Helper()
	d.proc.signal(syscall.SIGKILL)
	<-d.proc.exited
	d.run(t, "serve", "-config", d.config)
}

// TestDoorKilled: a backend hears of the end of each listener whom it let in, once, though the edge is killed: of those who go on after that when they
// leave, and of the others when they have been away for listening.idle.
func TestDoorKilled(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	b := startDoorBackend(t, icecastAnswers)
	brisk := strings.Replace(unhurried, "idle: 1m", "idle: 10s", 1)
	d := startDoorAs(t, brisk, o.live("news")+o.mount("radio"), "auth: {callback: {url: '"+b.url()+"', style: icecast, timeout: 5s}}\n"+doorSeats)
	radio := func(id string) *doorRadio {
		t.Helper()
		l := radioAsk{url: d.listen + "/radio.mp3?who=ann", address: home, agent: "Radio " + id, header: map[string]string{"X-Playback-Session-Id": id}}.listens(t)
		l.plays(t)
		return l
	}
	player := func(agent string) *doorPlayer {
		t.Helper()
		p := newDoorPlayer(t, home, agent)
		p.start(d.listen + "/news/master.m3u8?who=ann").plays(t)
		return p
	}
	stays, goes := radio("stays"), radio("goes")
	p, paused := player("Player"), player("Paused")
	goes.listensFor(t, time.Second)
	d.waitCredited(t, "goes", paused.id())
	d.waitRemovals(t, 4)
	told := func(id string) (n int) {
		for _, q := range b.heard("listener_remove") {
			if q.session() == id {
				n++
			}
		}
		return n
	}

	d.kill(t)
	<-stays.closed
	p.step().plays(t)
	stays = radio("stays")
	for end := time.Now().Add(60 * time.Second); told("goes") == 0 || told(paused.id()) == 0; time.Sleep(200 * time.Millisecond) {
		p.step().plays(t)
		if time.Now().After(end) {
			t.Fatalf("the backend has not heard of those who are gone: %v", b.heard("listener_remove"))
		}
	}
	if told("stays")+told(p.id()) > 0 {
		t.Error("the backend heard of the end of listeners who listen")
	}
	if q := b.waitHeard(t, time.Second, "listener_remove", "goes"); q.form.Get("sent") == "0" || q.form.Get("user") != "" || q.form.Get("mount") != "/radio.mp3?who=ann" {
		t.Errorf("of one who was gone it heard %v", q.form)
	}

	stays.leave() // and the player asks for nothing any more
	d.waitRemovals(t, 0)
	adds := 0
	for _, q := range b.heard("listener_add") {
		adds++
		want := 0
		for _, other := range b.heard("listener_add") {
			if other.session() == q.session() {
				want++
			}
		}
		if n := told(q.session()); n != want {
			t.Errorf("%s: heard of %d times, and of its end %d times", q.session(), want, n)
		}
	}
	if n := len(b.heard("listener_remove")); adds != 5 || n != adds {
		t.Errorf("the backend heard of %d listeners, and of %d ends", adds, n)
	}
}

// waitRemovals waits until the store holds so many removals, of sessions that go on or are over.
func (d *gated) waitRemovals(t testing.TB, want int) {
	t.Helper()
	db := d.database(t)
	eventually(t, 60*time.Second, fmt.Sprintf("the store holds %d removals", want), func() error {
		var n int
		err := db.QueryRow(`SELECT count(*) FROM removals`).Scan(&n)
		if err == nil && n != want {
			err = fmt.Errorf("there are %d", n)
		}
		return err
	})
}
