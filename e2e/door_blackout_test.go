package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// seenRow is a row of the evidence, as the database has it.
type seenRow struct {
	rule, action, session, group, user, device, ip, edge string
	times                                                int
}

// evidence waits until the database has a row of that rule, action and session, and returns it.
func (d *gated) evidence(t testing.TB, rule, action, session string) (row seenRow) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("evidence of %s that %s was %s", rule, session, action), func() error {
		return d.database(t).QueryRow(`SELECT rule, action, session_id, group_key, user_id, device_type, ip, edge, times FROM evidence
			WHERE rule = ? AND action = ? AND session_id = ? ORDER BY id LIMIT 1`, rule, action, session).
			Scan(&row.rule, &row.action, &row.session, &row.group, &row.user, &row.device, &row.ip, &row.edge, &row.times)
	})
	return row
}

// isBlackout: the refusal names the rule and says what it says.
func (r answered) isBlackout(t testing.TB, rule, message string) {
	t.Helper()
	if r.is(t, http.StatusForbidden, "blackout"); r.Rule != rule || r.Message != message {
		t.Fatalf("the rule is %q and says %q; want %q and %q", r.Rule, r.Message, rule, message)
	}
}

// TestDoorBlackoutOpens: a window opens while people listen, to whom the rule applies by network or by device. What they play is on demand, so
// that their player asks for no playlist any more, or a mount, so that it asks for nothing.
func TestDoorBlackoutOpens(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	opens := time.Now().Add(6 * time.Second).Truncate(time.Second).Add(time.Second) // the edge is up by then, and all listen
	d := startDoor(t, o.onDemand("films")+o.mount("radio"), doorTokens+doorSeats+fmt.Sprintf(`blackouts:
  - {id: derby, streams: [films, radio], where: {network: 198.51.100.0/24}, from: %[1]q, message: "Not in your town, sorry."}
  - {id: boxes, streams: [films, radio], where: {device: stb}, from: %[1]q}
`, opens.UTC().Format(time.RFC3339)))
	type listener struct {
		*doorPlayer
		radio      *doorRadio
		name, rule string
	}
	all := []*listener{}
	for _, c := range []struct{ name, address, device, rule string }{
		{"in town", away, "phone", "derby"}, {"elsewhere", home, "phone", ""}, {"with a box", home, "stb", "boxes"}} {
		text := token(t, c.name, map[string]any{"device_type": c.device})
		l := &listener{doorPlayer: newDoorPlayer(t, c.address, "Player"), name: c.name, rule: c.rule}
		l.start(d.listen + "/films/master.m3u8?token=" + text).plays(t)
		l.radio = radioAsk{url: d.listen + "/radio.mp3?token=" + text, address: c.address, agent: "Radio",
			header: map[string]string{"X-Playback-Session-Id": "radio " + c.name}}.listens(t)
		l.radio.plays(t)
		all = append(all, l)
	}
	for time.Now().Before(opens.Add(-300 * time.Millisecond)) {
		for _, l := range all {
			if r := l.segment(); time.Now().Before(opens) {
				r.plays(t)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Until(opens.Add(500 * time.Millisecond)))
	message := map[string]string{"derby": "Not in your town, sorry."}
	for _, l := range all {
		if l.rule == "" {
			l.segment().plays(t)
			l.radio.listensFor(t, time.Second)
			continue
		}
		l.segment().isBlackout(t, l.rule, message[l.rule])
		l.poll().isBlackout(t, l.rule, message[l.rule])
		l.radio.waitCut(t, 10*time.Second, l.name)
		for _, row := range []seenRow{d.evidence(t, l.rule, "cut", l.id()), d.evidence(t, l.rule, "cut", "radio "+l.name)} {
			if row.user != l.name || row.ip != l.address || row.edge != "e2e" || row.times != 1 || row.group != "films" && row.group != "radio" {
				t.Errorf("the evidence of %s is %+v", l.name, row)
			}
		}
		d.evidence(t, l.rule, "refused", l.id()) // the playlist, after
	}
	var page struct {
		Evidence []struct {
			Rule, Action, Stream string
			User                 string `json:"user_id"`
		}
	}
	d.operate(t, http.MethodGet, "/evidence?rule=boxes", nil, http.StatusOK).into(t, &page)
	if len(page.Evidence) < 3 || page.Evidence[0].User != "with a box" {
		t.Errorf("the operator is told %+v", page)
	}
}

// TestDoorBlackoutAdded: an operator hides a stream while it is heard, without a restart, and shows it again.
func TestDoorBlackoutAdded(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.onDemand("films")+o.live("news")+o.mount("radio"), doorSeats)
	film, news := newDoorPlayer(t, away, "Player"), newDoorPlayer(t, away, "Player")
	film.start(d.listen + "/films/master.m3u8").plays(t)
	news.start(d.listen + "/news/master.m3u8").plays(t)
	ask := radioAsk{url: d.listen + "/radio.mp3", address: away, agent: "Radio"}
	l := ask.listens(t)
	l.plays(t)

	rule := map[string]any{"id": "strike", "streams": []string{"films", "radio"}, "where": map[string]string{"network": "198.51.100.0/24"}, "message": "Strike!"}
	d.operate(t, http.MethodPost, "/blackouts", rule, http.StatusCreated)
	d.operate(t, http.MethodPost, "/blackouts", rule, http.StatusConflict)
	film.segment().isBlackout(t, "strike", "Strike!")
	l.waitCut(t, 10*time.Second, "a radio that a new rule hides")
	ask.listens(t).isBlackout(t, "strike", "Strike!")
	news.step().plays(t)
	newDoorPlayer(t, home, "Player").start(d.listen + "/films/master.m3u8").plays(t)

	d.restart(t)
	film.segment().isBlackout(t, "strike", "Strike!")
	newDoorPlayer(t, away, "Player").start(d.listen+"/films/master.m3u8").isBlackout(t, "strike", "Strike!")
	news.step().plays(t)

	d.operate(t, http.MethodDelete, "/blackouts/strike", nil, http.StatusNoContent)
	film.segment().plays(t) // he goes on where he was
	again := ask.listens(t)
	again.plays(t)
	again.listensFor(t, time.Second)
	d.operate(t, http.MethodDelete, "/blackouts/strike", nil, http.StatusNotFound)
	d.evidence(t, "strike", "cut", film.id())
	d.restart(t)
	film.segment().plays(t)
}

// TestDoorRoamsIntoBlackout: a listener is where he may listen when he begins, and hopes that nobody looks again.
func TestDoorRoamsIntoBlackout(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.onDemand("films")+o.live("news"), doorTokens+doorSeats+
		"blackouts: [{id: town, where: {network: [198.51.100.0/24, '2001:db8:bad::/48']}}]\n")
	for _, path := range []string{"/films/", "/news/"} {
		for _, to := range []string{away, "2001:db8:bad::7"} {
			t.Run(strings.Trim(path, "/")+" "+to, func(t *testing.T) {
				t.Parallel()
				p := newDoorPlayer(t, home, "Player")
				p.start(d.listen + path + "master.m3u8?token=" + token(t, "roams to "+to)).plays(t)
				p.segment().plays(t)
				p.address = to
				p.segment().isBlackout(t, "town", "")
				p.poll().isBlackout(t, "town", "")
				if row := d.evidence(t, "town", "cut", p.id()); row.ip != to {
					t.Errorf("the evidence is %+v", row)
				}
				p.address = home
				p.segment().plays(t) // he is back
			})
		}
	}
}

// TestDoorBlackoutForAnother: somebody where a mount is hidden asks with the id of one who listens where it is not. He hopes to have him cut.
func TestDoorBlackoutForAnother(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.mount("radio"), doorBrief+"limits: [{per: address, max: 1}]\n"+
		"blackouts: [{id: town, where: {network: 198.51.100.0/24}}]\n")
	ask := radioAsk{url: d.listen + "/radio.mp3", address: home, agent: "Radio", header: map[string]string{"X-Playback-Session-Id": "kitchen"}}
	l := ask.listens(t)
	l.plays(t)
	ask.address, ask.agent = away, "Spite"
	for range 3 {
		ask.listens(t).isBlackout(t, "town", "")
	}
	l.listensFor(t, briefTTL)
	if seats := d.seats(t, ""); len(seats) != 1 || seats[0] != "kitchen" {
		t.Errorf("the seats are %q", seats)
	}
}
