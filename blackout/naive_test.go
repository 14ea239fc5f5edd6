package blackout

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// naive is a second Judge, written from the page in docs and not from the code: rule by rule, field by field, and text by text.
func naive(rules []Rule, group string, l Listener, now time.Time) (Action, string) {
	for _, r := range rules {
		if !naiveStreams(r.Streams, group) || !r.Open(now) {
			continue
		}
		in := naiveAudience(r.Where, l)
		out := "no"
		if !naiveEmpty(r.Except) {
			out = naiveAudience(r.Except, l)
		}
		switch {
		case in == "no" || out == "yes":
		case in == "yes" && out == "no":
			if r.Action == "" {
				return Deny, r.ID
			}
			return r.Action, r.ID
		case r.Unknown != Allow:
			return Deny, r.ID
		case r.Action == Allow:
			return Allow, r.ID
		}
	}
	return Allow, ""
}

func naiveStreams(patterns []string, group string) bool {
	for _, p := range patterns {
		before, after, star := strings.Cut(p, "*") // the test's patterns have one at most
		if p == group || star && len(group) >= len(p)-1 && strings.HasPrefix(group, before) && strings.HasSuffix(group, after) {
			return true
		}
	}
	return len(patterns) == 0
}

func naiveEmpty(a Audience) bool { return fmt.Sprint(a) == fmt.Sprint(Audience{}) }

func naiveAudience(a Audience, l Listener) string {
	field := func(values []string, fits func(string) string) string {
		if len(values) == 0 {
			return "yes"
		}
		all := ""
		for _, v := range values {
			all += fits(strings.ToUpper(v)) + " "
		}
		for _, answer := range []string{"yes", "unknown"} {
			if strings.Contains(all, answer) {
				return answer
			}
		}
		return "no"
	}
	equal := func(known string) func(string) string {
		return func(v string) string {
			begin, star := strings.CutSuffix(v, "*")
			switch {
			case known == "":
				return "unknown"
			case known == v || star && strings.HasPrefix(known, begin):
				return "yes"
			}
			return "no"
		}
	}
	var nets []string
	for _, n := range a.Network {
		nets = append(nets, n.String())
	}
	p := l.Place
	answers := field(a.Country, equal(p.Country)) + " " + field(a.Metro, equal(p.Metro)) + " " + field(a.Postal, equal(p.Postal)) + " " +
		field(a.Device, func(v string) string {
			if strings.EqualFold(v, l.DeviceType) {
				return "yes"
			}
			return "no"
		}) + " " +
		field(nets, func(v string) string {
			switch {
			case !l.Address.IsValid():
				return "unknown"
			case netip.MustParsePrefix(v).Contains(l.Address):
				return "yes"
			}
			return "no"
		}) + " " +
		field(a.Subdivision, func(v string) string {
			parts := strings.Split(v, "-")
			part := equal(p.Subdivision)(parts[len(parts)-1])
			if len(parts) == 1 || part == "no" {
				return part
			}
			country := equal(p.Country)(parts[0])
			if country == "no" || part == "yes" {
				return country
			}
			return part
		})
	for _, answer := range []string{"no", "unknown"} {
		if slices.Contains(strings.Fields(answers), answer) {
			return answer
		}
	}
	return "yes"
}

// random makes rules and listeners of few values, so that they meet often.
type random struct{ *rand.Rand }

func (r random) some(most int, of ...string) []string {
	var out []string
	for range r.IntN(most + 1) {
		out = append(out, of[r.IntN(len(of))])
	}
	return out
}

func (r random) one(of ...string) string { return of[r.IntN(len(of))] }

func (r random) audience() Audience {
	var a Audience
	for range r.IntN(3) {
		switch r.IntN(6) {
		case 0:
			a.Country = r.some(2, "US", "GB", "it", "FR")
		case 1:
			a.Subdivision = r.some(3, "CA", "us-CA", "US-NY", "IT-CA", "eng", "GB-ENG")
		case 2:
			a.Metro = r.some(2, "807", "501")
		case 3:
			a.Postal = r.some(2, "90210", "90*", "sw1*", "9021", "*")
		case 4:
			a.Network = networks(r.some(2, "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "192.0.2.1/32")...)
		case 5:
			a.Device = r.some(2, "tv", "STB", "mobile")
		}
	}
	return a
}

func (r random) rules() []Rule {
	rules := make([]Rule, r.IntN(8))
	for i := range rules {
		rules[i] = Rule{ID: fmt.Sprint("r", i), Streams: r.some(3, "news", "tv-1", "tv-2", "tv-*", "*s", "*"), Where: r.audience(), Except: r.audience(),
			Action: Action(r.one("", "allow", "deny")), Unknown: Action(r.one("", "allow", "deny")),
			Schedule: r.one("", "", "sat 11:00-13:00", "mon-fri 22:00-02:00 America/New_York; sat 12:30-24:00")}
		if r.IntN(3) == 0 {
			rules[i].From = noon.Add(time.Duration(r.IntN(48)-30) * time.Hour)
		}
		if r.IntN(3) == 0 {
			rules[i].To = noon.Add(time.Duration(r.IntN(48)+19) * time.Hour)
		}
	}
	return rules
}

func (r random) listener() Listener {
	l := Listener{DeviceType: r.one("", "tv", "stb", "mobile", "console"), Place: Place{Country: r.one("", "US", "GB", "IT"), Subdivision: r.one("", "CA", "NY", "ENG"),
		Metro: r.one("", "807", "501", "602"), Postal: r.one("", "90210", "90211", "SW1A", "10115")}}
	if a := r.one("", "10.1.2.3", "10.2.2.3", "192.0.2.1", "2001:db8::1", "2001:db9::1"); a != "" {
		l.Address = netip.MustParseAddr(a)
	}
	return l
}

// TestJudgeAgainstNaive: two implementations agree about everybody, everywhere, at any time.
func TestJudgeAgainstNaive(t *testing.T) {
	r := random{rand.New(rand.NewPCG(7, 11))}
	decided := map[Action]int{}
	for range 1500 {
		rules := r.rules()
		c := compiled(t, rules...)
		for range 20 {
			group, l, now := r.one("news", "tv-1", "tv-2", "tv-3", "jazz", "kpcc"), r.listener(), noon.Add(time.Duration(r.IntN(96*60)-48*60)*time.Minute)
			got := c.Judge(group, l, now)
			id := ""
			if got.Rule != nil {
				id = got.Rule.ID
				decided[got.Action]++
			}
			if action, want := naive(rules, group, l, now); got.Action != action || id != want {
				t.Fatalf("%s by %q, want %s by %q\ngroup %s, listener %+v, %s\nrules %+v", got.Action, id, action, want, group, l, now, rules)
			}
		}
	}
	if decided[Allow] < 1000 || decided[Deny] < 1000 {
		t.Errorf("little was decided: %v", decided)
	}
}
