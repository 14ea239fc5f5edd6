package blackout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestCheckRefuses: an error says which field, and what to write instead.
func TestCheckRefuses(t *testing.T) {
	many := make([]string, MaxValues+1)
	for i := range many {
		many[i] = "US"
	}
	where := func(a Audience) Rule { return Rule{ID: "derby", Where: a} }
	for _, c := range []struct {
		r    Rule
		want string
	}{
		{Rule{}, `bad blackout: id: "": write 1 to 64 bytes of printable text without spaces, such as derby-2026`},
		{Rule{ID: strings.Repeat("ä", 33)}, "id: "},
		{Rule{ID: "a\nb"}, `bad blackout "a\nb": id: "a\nb": write 1 to 64`},
		{Rule{ID: "\xff"}, "id: "},
		{Rule{ID: " a"}, `id: " a": write 1 to 64 bytes`},
		{Rule{ID: ".."}, `id: ".." cannot stand in a URL`},
		{Rule{ID: "derby", Streams: []string{"two words"}}, `streams: "two words": write the key of a group or stream`},
		{Rule{ID: "derby", Streams: []string{"news", ""}}, `bad blackout "derby": streams: "": write the key of a group or stream`},
		{Rule{ID: "derby", Streams: []string{strings.Repeat("x", 129)}}, "1 to 128 bytes"},
		{Rule{ID: "derby", Streams: many}, "streams: 1001 values: write at most 1000, and a second rule"},
		{where(Audience{Country: []string{"UK"}}), `where.country: "UK" is not the ISO 3166-1 code of the United Kingdom: write GB`},
		{where(Audience{Country: []string{"US", "USA"}}), `where.country: "USA": write an ISO 3166-1 code of two letters, such as US`},
		{where(Audience{Country: []string{"Ä"}}), "where.country: "},
		{where(Audience{Country: many}), "where.country: 1001 values"},
		{where(Audience{Subdivision: []string{"California"}}), `where.subdivision: "California": write an ISO 3166-2 code, such as US-CA or CA`},
		{where(Audience{Subdivision: []string{"US-"}}), "where.subdivision: "},
		{where(Audience{Subdivision: []string{"USA-CA"}}), "where.subdivision: "},
		{where(Audience{Metro: []string{"Los Angeles"}}), `where.metro: "Los Angeles": write the code of a metro area (DMA), such as 807`},
		{where(Audience{Postal: []string{"9*0"}}), `where.postal: "9*0": write a postal code, such as 90210, or its beginning and *`},
		{where(Audience{Postal: []string{"SW1 *"}}), "where.postal: "},
		{where(Audience{Postal: []string{""}}), "where.postal: "},
		{where(Audience{Postal: []string{"-1"}}), "where.postal: "},
		{where(Audience{Postal: []string{"1-*"}}), "where.postal: "},
		{where(Audience{Device: []string{"tv "}}), "where.device: "},
		{where(Audience{Network: []netip.Prefix{{}}}), "where.network: is no network: write an address and the length of its prefix, such as 192.0.2.0/24"},
		{where(Audience{Network: networks("::ffff:0.0.0.0/90")}), "where.network: ::ffff:0.0.0.0/90: write the network of IPv4"},
		{where(Audience{Device: []string{""}}), "where.device: "},
		{Rule{ID: "derby", Except: Audience{Device: []string{"a\x00"}}}, `except.device: "a\x00": write a device type`},
		{Rule{ID: "derby", From: noon, To: noon}, "to: 2026-05-02T12:00:00Z is not after from: write a later time, or leave one of the two out"},
		{Rule{ID: "derby", To: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)}, "to: year 12026: write a time such as"},
		{Rule{ID: "derby", Schedule: "saturday"}, `schedule: "saturday": "saturday" is no day: write mon`},
		{Rule{ID: "derby", Action: "slate"}, `action: "slate": write deny or allow`},
		{Rule{ID: "derby", Unknown: "maybe"}, `unknown: "maybe": write deny or allow`},
		{Rule{ID: "derby", Message: strings.Repeat("x", MaxText+1)}, "message: write at most 1024 bytes"},
		{Rule{ID: "derby", Message: "two\nlines"}, "message: "},
	} {
		err := c.r.Check()
		if err == nil || !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("%.80v: %v, want %s", c.r, err, c.want)
		}
		_, again := Compile([]Rule{{ID: "fine"}, c.r})
		if !errors.Is(again, ErrRule) || !strings.Contains(again.Error(), "bad blackout number 2") {
			t.Errorf("%.80v: Compile says %v", c.r, again)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	if _, err := Compile([]Rule{{ID: "a"}, {ID: "b"}, {ID: "a"}}); !errors.Is(err, ErrRule) || err.Error() != `bad blackout number 3, "a": id: number 1 has the same: write another` {
		t.Error(err)
	}
	rules := make([]Rule, MaxRules+1)
	for i := range rules {
		rules[i].ID = fmt.Sprint(i)
	}
	if _, err := Compile(rules[:MaxRules]); err != nil {
		t.Error(err)
	}
	if _, err := Compile(rules); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
	rules = rules[:MaxSum/MaxValues+1]
	for i := range rules {
		rules[i].Streams = make([]string, MaxValues)
		for j := range rules[i].Streams {
			rules[i].Streams[j] = "x"
		}
	}
	if _, err := Compile(rules[:len(rules)-1]); err != nil {
		t.Error(err)
	}
	if _, err := Compile(rules); !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), "200000 in all") {
		t.Error(err)
	}
}

// TestCompileLeavesItsInputAlone: defaults are those of the verdict, not of the caller's rules.
func TestCompileLeavesItsInputAlone(t *testing.T) {
	rules := []Rule{{ID: "a", Where: Audience{Network: networks("10.1.2.3/8"), Country: []string{"us"}}}}
	before := fmt.Sprint(rules)
	compiled(t, rules...)
	if after := fmt.Sprint(rules); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

func TestJSON(t *testing.T) {
	full := Rule{ID: "derby", Streams: []string{"news", "tv-*"},
		Where: Audience{Country: []string{"GB"}, Subdivision: []string{"US-CA"}, Metro: []string{"807"}, Postal: []string{"SW1*"},
			Network: networks("192.0.2.0/24", "2001:db8::/32"), Device: []string{"stb"}},
		Except: Audience{Network: networks("10.0.0.0/8")}, From: noon, To: noon.Add(time.Hour), Schedule: "sat 14:45-17:15 Europe/London",
		Action: Allow, Unknown: Deny, Message: "not here"}
	for _, r := range []Rule{full, {ID: "bare", Action: Deny, Unknown: Allow}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Rule
		strict := json.NewDecoder(bytes.NewReader(b))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&again); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, r) {
			t.Errorf("%s\nis %+v\nwant %+v", b, again, r)
		}
		if err := again.Check(); err != nil {
			t.Error(err)
		}
	}
	const bare = `{"id":"bare","action":"deny","unknown":"allow"}`
	if b, err := json.Marshal(Rule{ID: "bare", Action: Deny, Unknown: Allow}); err != nil || string(b) != bare {
		t.Errorf("%s, want %s (%v)", b, bare, err)
	}
}
