package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/blackout"
	"earshot/session"
)

func ruleIDs(g *Gate) (ids []string) {
	for _, r := range g.Rules(time.Now()) {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestBadNotes: what stands on the board that many can write to, and is not what it should be, takes nothing else with it.
func TestBadNotes(t *testing.T) {
	live := session.NewMemory(1000)
	post := func(kind, id, body string) {
		if err := live.Post(context.Background(), session.Note{Kind: kind, ID: id, Body: json.RawMessage(body)}); err != nil {
			t.Error(err)
		}
	}
	added := func(id, body string) { post(ruleNote, id, body) }
	set := []blackout.Rule{{ID: "set", Streams: []string{"set"}, Action: blackout.Deny}}
	door(t, Options{Many: true, Live: live, Keeper: new(keeper), Rules: set}, func(r *rig) {
		added("set", `{"id":"set","streams":["news"],"action":"allow","added":"2020-01-01T00:00:00Z"}`)
		added("clone", `{"id":"good-1","streams":["a"],"action":"deny","added":"2020-01-02T00:00:00Z"}`)
		added("good-1", `{"id":"good-1","streams":["news"],"action":"deny","added":"2020-01-03T00:00:00Z"}`)
		added("pattern", `{"id":"pattern","streams":[""],"action":"deny","added":"0001-01-01T00:00:00Z"}`)
		added("schedule", `{"id":"schedule","schedule":"daily at noon","action":"deny"}`)
		added("shape", `{"id":"shape","streams":"news"}`)
		added("list", `[]`)
		added("", `{"action":"deny"}`)
		added("good-2", `{"id":"good-2","streams":["talk"],"action":"deny","added":"9999-01-01T00:00:00Z"}`)
		added("first", `{"id":"first","streams":["b"],"action":"deny","first":true,"added":"2021-01-01T00:00:00Z"}`)
		for id, body := range map[string]string{"empty": `{}`, "null": `null`, "shape": `{"user":7}`, "ann": `{"id":"other","user":"ann","until":"9999-12-31T23:59:59Z"}`} {
			post(banNote, id, body)
		}
		time.Sleep(time.Minute)
		if got := ruleIDs(r.Gate); !slices.Equal(got, []string{"first", "set", "clone", "good-1", "good-2"}) {
			t.Errorf("%q", got)
		}
		r.want(r.player("", "", home, "A").start("news"), Blackout)
		r.want(r.player("", "", home, "A").start("talk"), Blackout)
		r.want(r.player("", "", home, "A").start("free"), "")
		r.want(r.player("ann", "", home, "A").start("free"), Banned)
		if err := r.Unban(r.t.Context(), "ann"); err != nil {
			t.Error(err)
		}
		r.want(r.player("ann", "", home, "A").start("free"), "")
	})
}

// TestRuleOfTheConfiguration: a rule that was added, and has since been written into the configuration, takes no other with it.
func TestRuleOfTheConfiguration(t *testing.T) {
	kept := new(keeper)
	door(t, Options{Keeper: kept}, func(r *rig) {
		for _, id := range []string{"derby", "flood"} {
			if _, err := r.AddRule(r.t.Context(), blackout.Rule{ID: id, Streams: []string{id}}, false); err != nil {
				r.t.Fatal(err)
			}
		}
	})
	door(t, Options{Keeper: kept, Rules: []blackout.Rule{{ID: "derby", Streams: []string{"derby"}, Action: blackout.Deny}}}, func(r *rig) {
		if got := ruleIDs(r.Gate); !slices.Equal(got, []string{"derby", "flood"}) {
			t.Errorf("%q", got)
		}
		r.want(r.player("", "", home, "A").start("flood"), Blackout)
	})
}

// TestTooManyRules: those that were added first hold.
func TestTooManyRules(t *testing.T) {
	kept := new(keeper)
	streams := make([]string, blackout.MaxValues)
	for i := range streams {
		streams[i] = fmt.Sprint("s", i)
	}
	for i := range blackout.MaxSum/blackout.MaxValues + 50 {
		body, err := json.Marshal(addedRule{blackout.Rule{ID: fmt.Sprint("r", i), Streams: streams}, i%2 == 0, time.Unix(int64(i), 0)})
		if err != nil {
			t.Fatal(err)
		}
		if err := kept.Post(t.Context(), session.Note{Kind: ruleNote, ID: fmt.Sprint("r", i), Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	door(t, Options{Keeper: kept}, func(r *rig) {
		got := ruleIDs(r.Gate)
		if len(got) != blackout.MaxSum/blackout.MaxValues || got[0] != "r198" || got[99] != "r0" || got[100] != "r1" || got[199] != "r199" {
			t.Errorf("%d: %q", len(got), got)
		}
	})
}

// TestUnsaidOutlivesTheProcess: what could not be told to the other edges is told when an edge that was started again can tell it, and
// not taken for what they have taken down.
func TestUnsaidOutlivesTheProcess(t *testing.T) {
	live, kept := &broken{Live: session.NewMemory(1000)}, new(keeper)
	opt := func() Options { return Options{Table: session.NewTable(10), Many: true, Live: live, Keeper: kept} }
	var old Ban
	door(t, opt(), func(r *rig) {
		var err error
		if old, err = r.Ban(r.t.Context(), Ban{User: "bob", Until: time.Now().Add(24 * time.Hour)}, ""); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		live.down.Store(true)
		if _, err := r.Ban(r.t.Context(), Ban{User: "ann", Until: time.Now().Add(time.Hour)}, ""); err != nil {
			r.t.Fatal(err)
		}
		if err := r.Unban(r.t.Context(), old.ID); err != nil {
			r.t.Fatal(err)
		}
	})
	door(t, opt(), func(r *rig) {
		live.down.Store(false)
		time.Sleep(time.Minute)
		r.want(r.player("ann", "", home, "A").start("news"), Banned)
		r.want(r.player("bob", "", home, "A").start("news"), "")
		for _, n := range append(kept.all(r.t), notesOf(r.t, live)...) {
			if n.Kind == unsaidNote || n.ID == old.ID {
				t.Errorf("%+v", n)
			}
		}
	})
}

func (k *keeper) all(t *testing.T) []session.Note {
	notes, err := k.Board(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

func notesOf(t *testing.T, live session.Live) []session.Note {
	notes, err := live.Board(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

// TestEvidenceIsPruned: at once, and every hour.
func TestEvidenceIsPruned(t *testing.T) {
	kept := new(pruned)
	door(t, Options{Keeper: kept, Retain: 24 * time.Hour}, func(*rig) {
		began := time.Now()
		for hours := range 3 {
			time.Sleep(time.Minute)
			kept.mu.Lock()
			if len(kept.before) != hours+1 || kept.before[hours].After(began.Add(time.Duration(hours)*(time.Hour+time.Second)-24*time.Hour+time.Minute)) {
				t.Errorf("after %v: %v", time.Since(began), kept.before)
			}
			kept.mu.Unlock()
			time.Sleep(time.Hour)
		}
	})
}

// pruned is a keeper that notes what is to go.
type pruned struct {
	keeper
	before []time.Time
}

func (p *pruned) PruneEvidence(_ context.Context, before time.Time, _ int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = append(p.before, before)
	return 0, nil
}
