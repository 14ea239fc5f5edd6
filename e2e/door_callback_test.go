package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// icecastAnswers is a backend that knows three users: ann may listen, brief for four seconds, and carl may not.
func icecastAnswers(w http.ResponseWriter, q asking) {
	h := w.Header()
	switch mount := q.form.Get("mount"); {
	case strings.Contains(mount, "who=ann"):
		h.Set("icecast-auth-user", "1")
	case strings.Contains(mount, "who=brief"):
		h.Set("icecast-auth-user", "1")
		h.Set("icecast-auth-timelimit", "4")
	default:
		h.Set("icecast-auth-message", "subscribe first")
	}
}

// TestDoorIcecastCallback: a backend that speaks Icecast's dialect is asked about each listener, and told when he has left; also when it could not
// be told at the time.
func TestDoorIcecastCallback(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	b := startDoorBackend(t, icecastAnswers)
	brisk := strings.Replace(unhurried, "idle: 1m", "idle: 3s", 1)
	d := startDoorAs(t, brisk, o.live("news")+o.mount("radio"), "auth: {callback: {url: '"+b.url()+"', style: icecast, timeout: 15s}}\n"+doorSeats)
	radio := func(who, id string) radioAsk {
		return radioAsk{url: d.listen + "/radio.mp3?who=" + who, address: home, agent: "Radio", header: map[string]string{"X-Playback-Session-Id": id}}
	}

	l := radio("ann", "ann-1").listens(t)
	l.plays(t)
	add := b.waitHeard(t, 0, "listener_add", "ann-1")
	for name, want := range map[string]string{"mount": "/radio.mp3?who=ann", "ip": home, "agent": "Radio", "server": "127.0.0.1"} {
		if got := add.form.Get(name); got != want {
			t.Errorf("listener_add says %s %q, want %q", name, got, want)
		}
	}
	if r := radio("carl", "carl-1").listens(t); r.is(t, http.StatusForbidden, "not-allowed").Detail != "subscribe first" {
		t.Errorf("the message is %q", r.Detail)
	}
	if r := newDoorPlayer(t, home, "Player").ask(d.listen + "/news/master.m3u8?who=carl"); r.is(t, 403, "not-allowed").Detail != "subscribe first" {
		t.Errorf("the message is %q", r.Detail)
	}

	// A time limit: the mount is closed, and HLS ended, when it is over; and not much before.
	began := time.Now()
	brief := radio("brief", "brief-1").listens(t)
	brief.plays(t)
	p := newDoorPlayer(t, home, "Player")
	p.start(d.listen + "/news/master.m3u8?who=brief").plays(t)
	for p.step().ok() {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the time limit does not end it")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if early := time.Since(began); early < 3*time.Second {
		t.Errorf("it was over after %v", early)
	}
	p.step().is(t, http.StatusGone, "ended")
	p.segment().is(t, http.StatusGone, "ended")
	brief.waitCut(t, 10*time.Second, "a radio whose time is over")
	if remove := b.waitHeard(t, 20*time.Second, "listener_remove", "brief-1"); !atLeast(remove.form.Get("duration"), 3) || !atLeast(remove.form.Get("sent"), 1) {
		t.Errorf("listener_remove says %v", remove.form)
	}
	if adds := b.heard("listener_add"); len(adds) > 6 {
		t.Errorf("%d questions for five listeners", len(adds))
	}
	// Whoever was added under a name is removed under that name.
	name := ""
	for _, q := range b.heard("listener_add") {
		if strings.Contains(q.form.Get("mount"), "/news/") && strings.Contains(q.form.Get("mount"), "brief") {
			name = q.session()
		}
	}
	b.waitHeard(t, 20*time.Second, "listener_remove", name)

	// The backend is down when he leaves, and the edge is started again before it is up.
	b.shut()
	l.leave()
	eventually(t, 20*time.Second, "the removal is kept", func() error {
		var n int
		err := d.database(t).QueryRow(`SELECT count(*) FROM removals WHERE session_id = 'ann-1'`).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("no row")
		}
		return err
	})
	d.restart(t)
	b.open(t)
	remove := b.waitHeard(t, 30*time.Second, "listener_remove", "ann-1")
	if remove.form.Get("mount") != "/radio.mp3?who=ann" || remove.form.Get("sent") == "0" {
		t.Errorf("listener_remove says %v", remove.form)
	}
}

// atLeast tells whether a number in words is one, and no less.
func atLeast(text string, least int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= least
}

// TestDoorJSONCallback: a backend that speaks JSON is asked when somebody begins, and not for what follows.
func TestDoorJSONCallback(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	b := startDoorBackend(t, func(w http.ResponseWriter, q asking) {
		w.Header().Set("Content-Type", "application/json")
		if q.fields["token"] != "good" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"no"}`)
			return
		}
		fmt.Fprint(w, `{"user":"ann","device_type":"tv","duration":300,"max_sessions":2}`)
	})
	d := startDoor(t, o.live("news")+o.mount("radio"), "auth: {callback: {url: '"+b.url()+"', timeout: 15s}}\n"+doorSeats)
	master := d.listen + "/news/master.m3u8?token=good"

	p := newDoorPlayer(t, home, "Player")
	p.start(master).plays(t)
	q := b.heard("new_session")[0]
	for name, want := range map[string]string{"name": "news", "proto": "hls", "ip": home, "agent": "Player", "token": "good"} {
		if got := fmt.Sprint(q.fields[name]); got != want {
			t.Errorf("it was asked with %s %q, want %q", name, got, want)
		}
	}
	for range 10 {
		p.step().plays(t)
		time.Sleep(100 * time.Millisecond)
	}
	newDoorPlayer(t, home, "Player").start(master).plays(t) // the answer is good for five minutes
	if n := len(b.heard("new_session")); n != 1 {
		t.Errorf("the backend was asked %d times for one listener and what he played", n)
	}
	// max_sessions: the two of one device and agent replaced each other; another device is a second, and a third is too many.
	newDoorPlayer(t, home, "Tablet").start(master).plays(t)
	newDoorPlayer(t, away, "Phone").start(master).is(t, http.StatusForbidden, "too-many-sessions")
	if r := newDoorPlayer(t, home, "Player").ask(d.listen + "/news/master.m3u8?token=bad"); r.is(t, 403, "not-allowed").Detail != "no" {
		t.Errorf("the message is %q", r.Detail)
	}

	b.shut()
	p.plays(2 * time.Second)
	newDoorPlayer(t, home, "Player").start(master).plays(t) // known, and so let in again
	newDoorPlayer(t, "203.0.113.77", "Stranger").ask(master).is(t, http.StatusForbidden, "not-allowed")
	if d.value(t, "earshot_auth_callback_failures_total") == 0 {
		t.Error("no metric says that the backend fails")
	}
}

// TestDoorCallbackPolicies: what becomes of new listeners while the backend does not answer, where it is said.
func TestDoorCallbackPolicies(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	nowhere := fmt.Sprintf("http://127.0.0.1:%d/", freePort(t))
	for policy, ok := range map[string]bool{"allow": true, "deny": false, "last": false} {
		for _, style := range []string{"json", "icecast"} {
			t.Run(policy+" "+style, func(t *testing.T) {
				t.Parallel()
				d := startDoor(t, o.live("news")+o.mount("radio"), "auth: {callback: {url: '"+nowhere+"', style: "+style+", timeout: 1s, on_error: "+policy+"}}\n"+doorSeats)
				p := newDoorPlayer(t, home, "Player")
				r := p.start(d.listen + "/news/master.m3u8?token=x")
				l := radioAsk{url: d.listen + "/radio.mp3?token=x", address: home, agent: "Radio"}.listens(t)
				if ok {
					r.plays(t)
					l.plays(t)
					p.step().plays(t)
					return
				}
				r.is(t, http.StatusForbidden, "not-allowed")
				l.is(t, http.StatusForbidden, "not-allowed")
			})
		}
	}
}
