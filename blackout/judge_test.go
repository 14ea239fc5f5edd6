package blackout

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC)

func compiled(t testing.TB, rules ...Rule) *Rules {
	t.Helper()
	c, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(address string, p Place, device string) Listener {
	l := Listener{Place: p, DeviceType: device}
	if address != "" {
		l.Address = netip.MustParseAddr(address)
	}
	return l
}

func networks(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// TestAudience: each field, what it takes, what it does not, and what it cannot tell.
func TestAudience(t *testing.T) {
	place := func(country, sub, metro, postal string) Listener {
		return at("192.0.2.1", Place{country, sub, metro, postal}, "stb")
	}
	from := func(address string) Listener { return at(address, Place{}, "") }
	california := place("US", "CA", "807", "94016")
	for _, c := range []struct {
		name string
		a    Audience
		l    Listener
		want answer
	}{
		{"nobody is left out of an empty one", Audience{}, Listener{}, yes},

		{"country", Audience{Country: []string{"GB", "US"}}, california, yes},
		{"country, case", Audience{Country: []string{"us"}}, place("Us", "", "", ""), yes},
		{"another country", Audience{Country: []string{"GB"}}, california, no},
		{"no country", Audience{Country: []string{"GB"}}, Listener{}, unknown},

		{"subdivision", Audience{Subdivision: []string{"NY", "ca"}}, california, yes},
		{"another", Audience{Subdivision: []string{"NY"}}, california, no},
		{"none known", Audience{Subdivision: []string{"NY"}}, place("US", "", "", ""), unknown},
		{"the country is not asked for", Audience{Subdivision: []string{"CA"}}, place("", "CA", "", ""), yes},
		{"qualified", Audience{Subdivision: []string{"US-NY", "us-ca"}}, california, yes},
		{"qualified, another", Audience{Subdivision: []string{"US-NY"}}, california, no},
		{"the same code in another country", Audience{Subdivision: []string{"US-CA"}}, place("IT", "CA", "", ""), no},
		{"qualified, none known", Audience{Subdivision: []string{"US-CA"}}, place("US", "", "", ""), unknown},
		{"qualified, none known in another country", Audience{Subdivision: []string{"US-CA"}}, place("GB", "", "", ""), no},
		{"qualified, no country known", Audience{Subdivision: []string{"US-CA"}}, place("", "CA", "", ""), unknown},
		{"qualified, another, no country known", Audience{Subdivision: []string{"US-CA"}}, place("", "NY", "", ""), no},
		{"qualified, nothing known", Audience{Subdivision: []string{"US-CA"}}, Listener{}, unknown},
		{"both, the other could be", Audience{Subdivision: []string{"US-CA", "ENG"}}, place("GB", "", "", ""), unknown},
		{"crosswise", Audience{Subdivision: []string{"US-CA", "GB-ENG"}}, place("US", "ENG", "", ""), no},

		{"metro", Audience{Metro: []string{"501", "807"}}, california, yes},
		{"another metro", Audience{Metro: []string{"501"}}, california, no},
		{"no metro", Audience{Metro: []string{"501"}}, place("US", "CA", "", ""), unknown},

		{"postal", Audience{Postal: []string{"90210", "94016"}}, california, yes},
		{"another postal", Audience{Postal: []string{"9401"}}, california, no},
		{"postal beginning", Audience{Postal: []string{"10*", "9401*"}}, california, yes},
		{"postal, whole before *", Audience{Postal: []string{"94016*"}}, california, yes},
		{"postal too short", Audience{Postal: []string{"940167*"}}, california, no},
		{"postal, case", Audience{Postal: []string{"sw1a 1*"}}, place("GB", "", "", "SW1A 1AA"), yes},
		{"any postal", Audience{Postal: []string{"*"}}, california, yes},
		{"no postal", Audience{Postal: []string{"*", "1"}}, place("US", "CA", "807", ""), unknown},

		{"network", Audience{Network: networks("10.0.0.0/8", "192.0.2.0/24")}, from("192.0.2.255"), yes},
		{"network written with a host", Audience{Network: networks("192.0.2.77/24")}, from("192.0.2.255"), yes},
		{"mapped address", Audience{Network: networks("192.0.2.0/24")}, from("::ffff:192.0.2.9"), yes},
		{"mapped network", Audience{Network: networks("::ffff:192.0.2.0/120")}, from("192.0.2.9"), yes},
		{"another network", Audience{Network: networks("192.0.2.0/25")}, from("192.0.2.128"), no},
		{"IPv6", Audience{Network: networks("192.0.2.0/24", "2001:db8::/32")}, from("2001:db8:ffff::1"), yes},
		{"IPv6 with a zone", Audience{Network: networks("fe80::/10")}, from("fe80::1%eth0"), yes},
		{"the lengths of one family are not the other's", Audience{Network: networks("2001:db8::/32")}, from("32.1.13.184"), no},
		{"everybody of IPv4", Audience{Network: networks("0.0.0.0/0")}, from("2001:db8::1"), no},
		{"no address", Audience{Network: networks("0.0.0.0/0")}, Listener{}, unknown},

		{"device", Audience{Device: []string{"tv", "STB"}}, california, yes},
		{"another device", Audience{Device: []string{"mobile"}}, california, no},
		{"no device is none of those", Audience{Device: []string{"mobile"}}, Listener{}, no},

		{"all fields", Audience{Country: []string{"US"}, Metro: []string{"807"}, Device: []string{"stb"}}, california, yes},
		{"one of them not", Audience{Country: []string{"US"}, Metro: []string{"807"}, Device: []string{"tv"}}, california, no},
		{"one of them not known", Audience{Country: []string{"US"}, Metro: []string{"807"}}, place("US", "", "", ""), unknown},
		{"what is not settles it", Audience{Country: []string{"GB"}, Metro: []string{"807"}}, place("US", "", "", ""), no},
		{"a device, too", Audience{Country: []string{"GB"}, Device: []string{"tv"}}, Listener{DeviceType: "stb"}, no},
		{"values too long to be any", Audience{Metro: []string{"807"}}, place("", "", strings.Repeat("8", 500), ""), no},
	} {
		a := compileAudience(&c.a)
		if got := a.holds(&c.l); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestUnknown: every way in which a rule can depend on a place that is not known.
func TestUnknown(t *testing.T) {
	gb, ca := Audience{Country: []string{"GB"}}, Audience{Subdivision: []string{"CA"}}
	nowhere, london, quebec := Listener{}, at("", Place{Country: "GB"}, ""), at("", Place{Country: "CA", Subdivision: "QC"}, "")
	const first, second = "first", "second"
	for _, c := range []struct {
		name            string
		where, except   Audience
		action, unknown Action
		l               Listener
		want            Action
		by              string
	}{
		{"matches", gb, Audience{}, Deny, Allow, london, Deny, first},
		{"matches", gb, Audience{}, Allow, Deny, london, Allow, first},
		{"does not", gb, Audience{}, Deny, Deny, quebec, Deny, second},
		{"unknown", gb, Audience{}, Deny, Deny, nowhere, Deny, first},
		{"unknown", gb, Audience{}, Allow, Deny, nowhere, Deny, first},
		{"unknown", gb, Audience{}, Allow, Allow, nowhere, Allow, first},
		{"unknown", gb, Audience{}, Deny, Allow, nowhere, Deny, second},

		{"excepted", Audience{}, gb, Deny, Deny, london, Deny, second},
		{"excepted", Audience{}, gb, Allow, Deny, london, Deny, second},
		{"not excepted", Audience{}, gb, Deny, Allow, quebec, Deny, first},
		{"unknown exception", Audience{}, gb, Deny, Deny, nowhere, Deny, first},
		{"unknown exception", Audience{}, gb, Deny, Allow, nowhere, Deny, second},
		{"unknown exception", Audience{}, gb, Allow, Deny, nowhere, Deny, first},
		{"unknown exception", Audience{}, gb, Allow, Allow, nowhere, Allow, first},

		{"unknown exception of who is not meant", gb, ca, Allow, Deny, at("", Place{Country: "US"}, ""), Deny, second},
		{"unknown exception of who is meant", gb, ca, Allow, Deny, london, Deny, first},
		{"known exception of who is not known to be meant", ca, gb, Allow, Deny, london, Deny, second},
		{"nothing is known", gb, ca, Deny, Deny, nowhere, Deny, first},
		{"nothing is known", gb, ca, Deny, Allow, nowhere, Deny, second},
		{"no address", Audience{Network: networks("10.0.0.0/8")}, Audience{}, Allow, Deny, nowhere, Deny, first},
		{"no device type", Audience{Device: []string{"tv"}}, Audience{}, Allow, Deny, nowhere, Deny, second},
		{"no device type, excepted", Audience{}, Audience{Device: []string{"tv"}}, Deny, Allow, nowhere, Deny, first},
	} {
		rules := compiled(t, Rule{ID: first, Where: c.where, Except: c.except, Action: c.action, Unknown: c.unknown}, Rule{ID: second, Streams: []string{"news"}})
		got := rules.Judge("news", c.l, noon)
		if got.Rule == nil || got.Action != c.want || got.Rule.ID != c.by {
			t.Errorf("%s (action %s, unknown %s): %+v, want %s by %s", c.name, c.action, c.unknown, got, c.want, c.by)
		}
		// Without a second rule the listener may listen where that decided.
		rules = compiled(t, Rule{ID: first, Where: c.where, Except: c.except, Action: c.action, Unknown: c.unknown})
		if got := rules.Judge("news", c.l, noon); c.by == second && (got.Rule != nil || got.Action != Allow) {
			t.Errorf("%s (action %s, unknown %s): %+v of one rule", c.name, c.action, c.unknown, got)
		}
	}
}

func TestJudge(t *testing.T) {
	rules := compiled(t,
		Rule{ID: "later", Streams: []string{"news"}, From: noon.Add(time.Hour)},
		Rule{ID: "over", From: noon.Add(-time.Hour), To: noon},
		Rule{ID: "staff", Streams: []string{"tv-*"}, Where: Audience{Network: networks("10.0.0.0/8")}, Action: Allow},
		Rule{ID: "news", Streams: []string{"news", "tv-1", "news"}, Message: "not here"},
		Rule{ID: "sport", Streams: []string{"*-sport", "extra"}, Schedule: "sat 11:00-13:00"},
		Rule{ID: "tv", Streams: []string{"tv-1", "tv-2"}},
	)
	staff := at("10.1.2.3", Place{}, "")
	for _, c := range []struct {
		group string
		l     Listener
		now   time.Time
		want  string
	}{
		{"news", Listener{}, noon, "news"},
		{"news", Listener{}, noon.Add(time.Hour), "later"},
		{"news", Listener{}, noon.Add(-1), "over"},
		{"else", Listener{}, noon.Add(-time.Hour), "over"},
		{"else", Listener{}, noon.Add(-time.Hour - 1), ""},
		{"else", Listener{}, noon, ""},
		{"tv-1", staff, noon, "staff"},
		{"tv-1", Listener{}, noon, "staff"}, // without an address, and unknown is deny
		{"tv-1", at("192.0.2.1", Place{}, ""), noon, "news"},
		{"tv-2", at("192.0.2.1", Place{}, ""), noon, "tv"},
		{"tv-3", at("192.0.2.1", Place{}, ""), noon, ""},
		{"uk-sport", Listener{}, noon, "sport"},
		{"extra", Listener{}, noon, "sport"},
		{"extra", Listener{}, noon.Add(time.Hour), ""},
		{"", Listener{}, noon, ""},
	} {
		got := rules.Judge(c.group, c.l, c.now)
		id := ""
		if got.Rule != nil {
			id = got.Rule.ID
		}
		if id != c.want {
			t.Errorf("%s at %s: %q decides, want %q", c.group, c.now.Format(time.TimeOnly), id, c.want)
		}
	}
	if got := rules.Judge("news", Listener{}, noon); got.Action != Deny || got.Rule.Message != "not here" || got.Rule.Unknown != Deny {
		t.Errorf("%+v: what is left out is deny", got)
	}
	var empty *Rules
	if got := empty.Judge("news", Listener{}, noon); got.Action != Allow || got.Rule != nil || empty.NeedsPlace() || !empty.Next(noon).IsZero() {
		t.Errorf("no rules: %+v", got)
	}
	postal, device := Rule{ID: "a", Except: Audience{Postal: []string{"1*"}}}, Rule{ID: "a", Where: Audience{Device: []string{"tv"}}}
	if rules.NeedsPlace() || !compiled(t, postal).NeedsPlace() || compiled(t, device).NeedsPlace() {
		t.Error("NeedsPlace")
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"news", "news", true}, {"news", "new", false}, {"news", "newss", false}, {"News", "news", false},
		{"*", "", true}, {"*", "x", true}, {"tv-*", "tv-", true}, {"tv-*", "tv", false}, {"*-hd", "tv-hd-hd", true}, {"*-hd", "tv-hd2", false},
		{"a*b*c", "abbcbc", true}, {"a*b*c", "acb", false}, {"**", "x", true}, {"a**b", "ab", true}, {"*/1", "news/1", true}, {"t?", "tv", false}, {"ä*", "äö", true},
	} {
		if got := matches(c.pattern, c.key); got != c.want {
			t.Errorf("%s and %s: %t", c.pattern, c.key, got)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	var exact, wide []Rule
	for i := range 1000 {
		r := Rule{ID: fmt.Sprint("r", i), Streams: []string{fmt.Sprint("tv-", i)}, Where: Audience{Country: []string{"GB"}, Postal: []string{"SW1*", "N1"}},
			Schedule: "sat 12:00-14:00 Europe/London"}
		exact = append(exact, r)
		r.Streams = []string{fmt.Sprintf("tv-%d-*", i)}
		wide = append(wide, r)
	}
	l := at("192.0.2.1", Place{Country: "GB", Subdivision: "ENG", Postal: "SW1A"}, "mobile")
	for _, c := range []struct {
		name  string
		rules []Rule
		group string
		want  Action
	}{
		{"1000 exact, none of the group", exact, "news", Allow},
		{"1000 exact, one of the group", exact, "tv-999", Deny},
		{"1000 patterns, none of the group", wide, "news", Allow},
		{"1000 patterns, the last", wide, "tv-999-hd", Deny},
	} {
		b.Run(c.name, func(b *testing.B) {
			rules := compiled(b, c.rules...)
			b.ReportAllocs()
			for b.Loop() {
				if rules.Judge(c.group, l, noon).Action != c.want {
					b.Fatal("wrong")
				}
			}
		})
	}
}

// TestJudgeAllocatesNothing: not even where schedules, networks and texts in the wrong case have to be looked at.
func TestJudgeAllocatesNothing(t *testing.T) {
	french := Audience{Country: []string{"FR"}, Subdivision: []string{"US-CA"}, Postal: []string{"1*"}, Network: networks("10.0.0.0/8"), Device: []string{"tv"}}
	rules := compiled(t,
		Rule{ID: "a", Streams: []string{"tv-*"}, Where: french},
		Rule{ID: "b", Streams: []string{"tv-1"}, Schedule: "sat 12:00-14:00 Europe/London", Except: Audience{Subdivision: []string{"us-ny"}, Metro: []string{"1"}}})
	l := at("10.0.0.1", Place{Country: "us", Subdivision: "ca", Metro: "807", Postal: "sw1a"}, "STB")
	if n := testing.AllocsPerRun(100, func() {
		if rules.Judge("tv-1", l, noon).Action != Deny {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
