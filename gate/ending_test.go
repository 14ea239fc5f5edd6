package gate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// keeper keeps notes and evidence in memory, as the store does on disk.
type keeper struct {
	mu       sync.Mutex
	notes    map[string]session.Note
	evidence []blackout.Evidence
	down     bool
}

func (k *keeper) Post(_ context.Context, n session.Note) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.notes == nil {
		k.notes = make(map[string]session.Note)
	}
	k.notes[nameOf(n.Kind, n.ID)] = n
	return nil
}

func (k *keeper) Withdraw(_ context.Context, kind, id string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.notes[nameOf(kind, id)]
	delete(k.notes, nameOf(kind, id))
	return ok, nil
}

func (k *keeper) Board(context.Context) (all []session.Note, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.notes {
		all = append(all, n)
	}
	return all, nil
}

func (k *keeper) AppendEvidence(_ context.Context, all []blackout.Evidence) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return errors.New("down")
	}
	k.evidence = append(k.evidence, all...)
	return nil
}

func (k *keeper) Evidence(context.Context, blackout.EvidenceQuery) ([]blackout.Evidence, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.evidence), nil
}

func (k *keeper) rows() []blackout.Evidence {
	all, _ := k.Evidence(context.Background(), blackout.EvidenceQuery{}) // never fails
	return all
}

func (k *keeper) PruneEvidence(context.Context, time.Time, int) (int, error) { return 0, nil }

// TestEnd: what was ended stays so, whatever it tries, on this edge and after a restart; others hear nothing of it.
func TestEnd(t *testing.T) {
	kept := new(keeper)
	var ended, other player
	door(t, Options{Keeper: kept}, func(r *rig) {
		ended, other = *r.player("", "", home, "A"), *r.player("", "", home, "B")
		r.want(ended.start("news"), "")
		r.want(other.start("news"), "")
		c, v := r.player("", "", home, "C").connect("kpcc")
		r.want(v, "")
		if n, err := r.End(r.t.Context(), ended.id); n != 1 || err != nil {
			r.t.Fatal(n, err)
		}
		if n, err := r.End(r.t.Context(), v.Session.Key.ID); n != 1 || err != nil {
			r.t.Fatal(n, err)
		}
		if why := c.cut.Load(); why == nil || *why != Ended {
			t.Error("the connection was not cut at once")
		}
		r.want(ended.next(1), Ended)
		r.want(other.next(1), "")
		if n, err := r.End(r.t.Context(), "nobody"); n != 0 || err != nil {
			t.Error(n, err)
		}
		r.Sweep(func(s *session.Session) bool { return s.Key.ID == ended.id })
		r.want(ended.next(2), Ended) // cold, with his grant
	})
	door(t, Options{Keeper: kept}, func(r *rig) {
		ended.rig, other.rig = r, r
		r.want(ended.next(3), Ended)
		r.want(other.next(3), "")
	})
}

// TestBan: a user is out, whatever session he begins; so is who has no user, by address and agent. It outlives a restart, and ends.
func TestBan(t *testing.T) {
	kept := new(keeper)
	door(t, Options{Keeper: kept}, func(r *rig) {
		ann, same, guest := r.player("ann", "tv", home, "TV"), r.player("bob", "tv", home, "TV"), r.player("", "", phone, "VLC")
		for _, p := range []*player{ann, same, guest} {
			r.want(p.start("news"), "")
		}
		c, v := r.player("ann", "radio", home, "Radio").connect("kpcc")
		r.want(v, "")
		flow(time.Second, c)
		until := time.Now().Add(time.Hour)
		ban, err := r.Ban(r.t.Context(), Ban{User: "ann", Until: until, Reason: "paid with a leaf"}, "")
		if err != nil || ban.ID == "" {
			r.t.Fatal(ban, err)
		}
		if _, err := r.Ban(r.t.Context(), Ban{Until: until}, guest.id); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if why := c.cut.Load(); why == nil || *why != Banned {
			t.Error("the connection was not cut at once")
		}
		if v := ann.next(1); v.Code != Banned || v.Detail != "paid with a leaf" {
			t.Errorf("%+v", v)
		}
		r.want(ann.start("sport"), Banned)
		r.want(guest.start("sport"), Banned)
		r.want(same.next(1), "")
		r.want(r.player("", "", phone, "another").start("news"), "")
		for _, bad := range []Ban{{}, {User: "x", Until: until, Agent: "y"}, {User: "x"}, {User: "x", Until: time.Now()}, {User: "x", Until: until.AddDate(20, 0, 0)}} {
			if _, err := r.Ban(r.t.Context(), bad, ""); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if _, err := r.Ban(r.t.Context(), Ban{Until: until}, "nobody"); !errors.Is(err, ErrNoSession) {
			t.Error(err)
		}
	})
	door(t, Options{Keeper: kept}, func(r *rig) {
		if bans := r.Bans(); len(bans) != 2 {
			t.Fatalf("after a restart: %+v", bans)
		}
		ann, guest := r.player("ann", "tv", home, "TV"), r.player("", "", phone, "VLC")
		r.want(ann.start("news"), Banned)
		for _, b := range r.Bans() {
			if b.User != "" {
				if err := r.Unban(r.t.Context(), b.ID); err != nil {
					t.Error(err)
				}
			}
		}
		r.want(ann.start("news"), "")
		r.want(guest.start("news"), Banned)
		time.Sleep(time.Hour + 2*time.Second)
		r.want(guest.start("news"), "")
		if err := r.Unban(r.t.Context(), "nobody"); !errors.Is(err, ErrNoBan) || len(r.Bans()) != 0 {
			t.Error(err, r.Bans())
		}
	})
}

// TestBlackout: a window opens while people listen. Who asks is refused, who holds a connection is cut, to the second, and both are on record; when
// it closes they may go on.
func TestBlackout(t *testing.T) {
	kept := new(keeper)
	abroad := netip.MustParsePrefix("198.51.100.0/24")
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when a bubble begins
	derby := blackout.Rule{ID: "derby", Streams: []string{"sport", "radio*"}, Where: blackout.Audience{Network: []netip.Prefix{abroad}}, Action: blackout.Deny,
		From: start.Add(30 * time.Second), To: start.Add(90 * time.Second), Message: "not where you are"}
	door(t, Options{Keeper: kept, Rules: []blackout.Rule{derby}}, func(r *rig) {
		here, there, news := r.player("", "", home, "A"), r.player("", "", phone, "B"), r.player("", "", phone, "C")
		r.want(here.start("sport"), "")
		r.want(there.start("sport"), "")
		r.want(news.start("news"), "")
		radio := r.player("", "", phone, "R")
		c, v := radio.connect("radio1")
		r.want(v, "")
		flow(29*time.Second, c)
		r.want(there.next(1), "")
		time.Sleep(time.Second)
		time.Sleep(time.Millisecond)
		if why := c.cut.Load(); why == nil || *why != Blackout {
			t.Error("the connection was not cut when the window opened")
		}
		if v := there.next(2); v.Code != Blackout || v.Rule != "derby" || v.Detail != derby.Message {
			t.Errorf("%+v", v)
		}
		r.want(there.start("sport"), Blackout)
		r.want(here.next(2), "")
		r.want(news.next(2), "")
		here.address = phone // he roams in
		r.want(here.next(3), Blackout)
		time.Sleep(61 * time.Second)
		r.want(here.next(4), "")
		time.Sleep(time.Second)
		var seen []string
		for _, e := range kept.rows() {
			seen = append(seen, e.Action+" "+e.Group+" "+e.IP)
			if e.Rule != "derby" || e.SessionID == "" || e.At.Before(derby.From) || e.At.After(derby.To) || e.Edge != "edge" || e.Times != 1 {
				t.Errorf("%+v", e)
			}
		}
		slices.Sort(seen)
		if want := "cut radio1 " + phone + "|cut sport " + phone + "|cut sport " + phone + "|refused sport " + phone; strings.Join(seen, "|") != want {
			t.Errorf("on record: %v", seen)
		}
	})
}

// TestAddedRules come and go without a restart, and outlive one.
func TestAddedRules(t *testing.T) {
	kept := new(keeper)
	all := blackout.Rule{ID: "all", Streams: []string{"*"}, Action: blackout.Deny}
	mine := blackout.Rule{ID: "mine", Streams: []string{"*"}, Where: blackout.Audience{Network: []netip.Prefix{netip.MustParsePrefix(home + "/32")}}, Action: blackout.Allow}
	door(t, Options{Keeper: kept, Rules: []blackout.Rule{{ID: "set", Streams: []string{"never"}, Action: blackout.Deny}}}, func(r *rig) {
		p, q := r.player("", "", home, "A"), r.player("", "", phone, "A")
		r.want(p.start("news"), "")
		r.want(q.start("news"), "")
		for _, add := range []struct {
			rule  blackout.Rule
			first bool
		}{{all, false}, {mine, true}} {
			if _, err := r.AddRule(r.t.Context(), add.rule, add.first); err != nil {
				r.t.Fatal(err)
			}
		}
		r.want(p.next(1), "")
		r.want(q.next(1), Blackout)
		for _, bad := range []struct {
			rule blackout.Rule
			err  error
		}{{all, ErrTaken}, {blackout.Rule{ID: "x", Streams: all.Streams, Schedule: "sometimes"}, ErrInvalid}, {blackout.Rule{ID: "z", Action: blackout.Deny}, ErrInvalid},
			{blackout.Rule{ID: "y", Streams: all.Streams, Where: blackout.Audience{Country: []string{"GB"}}}, ErrInvalid}} {
			if _, err := r.AddRule(r.t.Context(), bad.rule, false); !errors.Is(err, bad.err) {
				t.Errorf("%+v: %v", bad.rule, err)
			}
		}
		if err := r.EndRule(r.t.Context(), "set"); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
	})
	door(t, Options{Keeper: kept, Rules: []blackout.Rule{{ID: "set", Streams: []string{"never"}, Action: blackout.Deny}}}, func(r *rig) {
		var order []string
		for _, s := range r.Rules(time.Now()) {
			order = append(order, s.ID)
		}
		if strings.Join(order, " ") != "mine set all" {
			t.Errorf("after a restart: %v", order)
		}
		q := r.player("", "", phone, "A")
		r.want(q.start("news"), Blackout)
		if err := r.EndRule(r.t.Context(), "all"); err != nil {
			t.Error(err)
		}
		r.want(q.start("news"), "")
	})
}

// TestEvidenceIsKept: a store that fails for a while loses nothing, and who asks without end has few rows that say how often.
func TestEvidenceIsKept(t *testing.T) {
	kept := &keeper{down: true}
	log := new(bytes.Buffer)
	door(t, Options{Keeper: kept, Log: slog.New(slog.NewTextHandler(log, nil)), Rules: []blackout.Rule{{ID: "all", Action: blackout.Deny}}}, func(r *rig) {
		p := r.player("", "", home, "A")
		p.id, p.group = "p", "news"
		for range 500 {
			r.want(p.admit(nil, false), Blackout)
		}
		time.Sleep(10 * time.Second)
		kept.mu.Lock()
		kept.down = false
		kept.mu.Unlock()
		time.Sleep(2 * time.Minute)
		times := 0
		for _, e := range kept.rows() {
			times += e.Times
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%.500s", n, log)
		}
		if times != 500 || len(kept.rows()) != evidenceEach+1 {
			t.Errorf("%d refusals in %d rows", times, len(kept.rows()))
		}
	})
}

// TestEvidenceOfStrangers: who brings no id is another session each time he asks, and is one listener on record. Sessions that go on have rows of their own.
func TestEvidenceOfStrangers(t *testing.T) {
	kept := new(keeper)
	door(t, Options{Keeper: kept, IP: func(netip.Addr) string { return "" }}, func(r *rig) {
		if len(r.evidence.queue)+cap(r.evidence.queue) != 0 {
			t.Error("a gate that refuses nobody keeps room for evidence")
		}
		var live []*player
		for range 3 {
			p := r.player("", "", home, "A")
			r.want(p.start("news"), "")
			live = append(live, p)
		}
		if _, err := r.AddRule(r.t.Context(), blackout.Rule{ID: "all", Streams: []string{"*"}, Action: blackout.Deny}, false); err != nil {
			r.t.Fatal(err)
		}
		for range 500 {
			for _, who := range [][2]string{{home, "A"}, {home, "B"}, {phone, "A"}} {
				r.want(r.player("", "", who[0], who[1]).start("news"), Blackout)
			}
		}
		for _, p := range live {
			for i := range 50 {
				r.want(p.next(i), Blackout)
			}
		}
		time.Sleep(2 * time.Minute)
	})
	rows, times := map[string]int{}, map[string]int{}
	for _, e := range kept.rows() {
		rows[e.Action]++
		times[e.Action] += e.Times
		if e.Times > 1 && e.Times != 480 && e.Times != 29 || e.Times == 480 && e.SessionID != "" || e.Times == 29 && e.SessionID == "" {
			t.Errorf("%+v", e)
		}
	}
	if times[cut] != 3 || times[refused] != 3*500+3*49 || rows[cut] != 3 || rows[refused] != 6*(evidenceEach+1) {
		t.Errorf("rows %v for %v", rows, times)
	}
}

// TestEvidenceIsBounded: what comes while nothing is written is kept up to a bound, and what is beyond it is counted.
func TestEvidenceIsBounded(t *testing.T) {
	var e evidence
	for i := range evidenceQueue + 1 {
		if e.add(testimony{}) != (i < evidenceQueue) {
			t.Fatal(i)
		}
	}
	if n := len(e.take()); n != evidenceQueue || e.take() != nil || !e.add(testimony{}) {
		t.Error(n)
	}
}

// TestExpiry: a token's expiry ends live sessions if it is to be enforced, and a callback's time limit does in any case.
func TestExpiry(t *testing.T) {
	for _, enforced := range []bool{false, true} {
		door(t, Options{EnforceExpiry: enforced}, func(r *rig) {
			hls, radio := r.player("ann", "", home, "A"), r.player("ann", "", home, "R")
			hls.expires = time.Now().Add(30 * time.Second)
			radio.expires = hls.expires
			r.want(hls.start("news"), "")
			c, v := radio.connect("kpcc")
			r.want(v, "")
			flow(29*time.Second, c)
			r.want(hls.next(1), "")
			flow(3*time.Second, c)
			code := Code("")
			if enforced {
				code = Ended
			}
			r.want(hls.next(2), code)
			if cut := c.cut.Load() != nil; cut != enforced {
				t.Errorf("enforced %v, cut %v", enforced, cut)
			}
		})
	}
	door(t, Options{}, func(r *rig) {
		p := r.player("", "", home, "A")
		p.id, p.group = session.NewID(), "news"
		req := &Request{Key: session.Key{ID: p.id, Group: p.group}, Kind: session.HLS, Listener: session.Listener{Address: p.at(), Agent: p.agent}}
		req.Identity.Ends = time.Now().Add(10 * time.Second)
		v := r.Admit(r.t.Context(), req)
		r.want(v, "")
		p.grant = GrantOf(v.Session)
		time.Sleep(9 * time.Second)
		r.want(p.next(1), "")
		time.Sleep(time.Second)
		r.want(p.next(2), Ended)
		r.Sweep(func(*session.Session) bool { return true })
		r.want(p.next(3), Ended)
	})
}
