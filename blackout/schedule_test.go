package blackout

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func scheduled(t testing.TB, text string) Schedule {
	t.Helper()
	s, err := ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchedule tells a few stories, by the clocks and by UTC.
func TestSchedule(t *testing.T) {
	for _, c := range []struct{ schedule, now, want string }{
		{"", "2026-05-02T00:00:00Z", "open"},
		{"sat,sun 14:45-17:15 Europe/London", "2026-05-02T13:44:59Z", "closed until 2026-05-02T13:45:00Z"}, // BST
		{"sat,sun 14:45-17:15 Europe/London", "2026-05-02T13:45:00Z", "open until 2026-05-02T16:15:00Z"},
		{"sat,sun 14:45-17:15 Europe/London", "2026-05-02T16:15:00Z", "closed until 2026-05-03T13:45:00Z"},
		{"sat,sun 14:45-17:15 Europe/London", "2026-05-03T16:15:00Z", "closed until 2026-05-09T13:45:00Z"},
		{"sat,sun 14:45-17:15 Europe/London", "2026-01-03T14:45:00Z", "open until 2026-01-03T17:15:00Z"}, // GMT
		{"mon-fri 09:00-17:00", "2026-05-02T12:00:00Z", "closed until 2026-05-04T09:00:00Z"},
		{"fri-mon 9:00-17:00", "2026-05-02T12:00:00Z", "open until 2026-05-02T17:00:00Z"},
		{"22:00-02:00", "2026-05-02T01:59:59.9Z", "open until 2026-05-02T02:00:00Z"},
		{"sat 22:00-02:00", "2026-05-02T01:00:00Z", "closed until 2026-05-02T22:00:00Z"},
		{"sat 22:00-02:00", "2026-05-03T01:00:00Z", "open until 2026-05-03T02:00:00Z"},
		{"sat 22:00-24:00; sun 00:00-01:00", "2026-05-02T23:00:00Z", "open until 2026-05-03T01:00:00Z"}, // one stretch
		{"00:00-24:00 Europe/London", "2026-05-02T23:00:00Z", "open"},
		{"12:00-11:59; 11:58-12:00", "2026-05-02T23:00:00Z", "open"},
		{"mon 00:00-24:00 Pacific/Auckland", "2026-05-03T12:00:00Z", "open until 2026-05-04T12:00:00Z"},

		// London, 29 March 2026: 01:00 is followed by 02:00; 25 October: 02:00 by 01:00.
		{"sun 01:15-01:45 Europe/London", "2026-03-28T12:00:00Z", "closed until 2026-04-05T00:15:00Z"}, // skipped
		{"sun 01:30-02:30 Europe/London", "2026-03-29T00:59:59Z", "closed until 2026-03-29T01:00:00Z"},
		{"sun 00:30-01:30 Europe/London", "2026-03-29T00:45:00Z", "open until 2026-03-29T01:00:00Z"},
		{"sun 01:15-01:45 Europe/London", "2026-10-25T00:15:00Z", "open until 2026-10-25T01:45:00Z"},
		{"sun 00:30-01:30 Europe/London", "2026-10-25T00:45:00Z", "open until 2026-10-25T01:30:00Z"},
		{"sun 01:30-03:00 Europe/London", "2026-10-25T00:29:59Z", "closed until 2026-10-25T00:30:00Z"},

		// New York, 8 March 2026: 02:00 is followed by 03:00; 1 November: 02:00 by 01:00.
		{"sat 23:00-02:30 America/New_York", "2026-03-08T06:59:00Z", "open until 2026-03-08T07:00:00Z"},
		{"sat 23:00-03:30 America/New_York", "2026-03-08T06:59:00Z", "open until 2026-03-08T07:30:00Z"},
		{"sat 23:00-01:30 America/New_York", "2026-11-01T05:45:00Z", "open until 2026-11-01T06:30:00Z"},
		{"sat 23:00-02:30 America/New_York", "2026-11-01T05:45:00Z", "open until 2026-11-01T07:30:00Z"},

		// Cairo, 24 April 2026: 24:00 is followed by 01:00. Samoa had no 30 December 2011.
		{"thu 20:00-24:00 Africa/Cairo", "2026-04-23T20:00:00Z", "open until 2026-04-23T22:00:00Z"},
		{"fri 00:00-02:00 Africa/Cairo", "2026-04-23T21:59:00Z", "closed until 2026-04-23T22:00:00Z"},
		{"fri 10:00-12:00 Pacific/Apia", "2011-12-29T12:00:00Z", "closed until 2012-01-05T20:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		open, until := scheduled(t, c.schedule).at(now)
		got := "closed"
		if open {
			got = "open"
		}
		if !until.IsZero() {
			got += " until " + until.Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.schedule, c.now, got, c.want)
		}
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"sat":                       `"sat": write days, times and a time zone`,
		"sat 14:45":                 `"14:45": write two times, such as 14:45-17:15`,
		"14:45-17:15;":              `"": write days`,
		"sat 14:45-17:15 UTC x":     `write days, times and a time zone`,
		"sa 14:45-17:15":            `"sa" is no day: write mon, tue`,
		"sat,,sun 14:45-17:15":      `"" is no day`,
		"mon-fri-sun 14:45-17:15":   `"fri-sun" is no day`,
		"14:45-1715":                `"1715" is no time: write hours and minutes, such as 14:45`,
		"14:45-17:5":                `"17:5" is no time`,
		"14:45-+7:15":               `"+7:15" is no time`,
		"14:45-17:15:00":            `"17:15:00" is no time`,
		"14:45-24:01":               `"24:01" is no time of day: write 00:00 to 24:00`,
		"14:60-17:00":               `"14:60" is no time of day`,
		"24:00-02:00":               `nothing begins at 24:00: write 00:00`,
		"09:00-09:00":               `ends when it begins: write 00:00-24:00 for a whole day`,
		"09:00-10:00 Europe/Londno": `"Europe/Londno" is no time zone: write a name of the IANA database`,
		"09:00-10:00 Local":         `"Local" is no time zone`,
		"09:00-10:00 ../etc/passwd": `is no time zone`,
		"sat 09:00-10:00; " + strings.Repeat("x", 100): "…",
		strings.Repeat("09:00-10:00;", 100):            `1200 bytes: write at most 1024`,
	} {
		if _, err := ParseSchedule(text); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// tide is what the clocks of a zone show, minute by minute: the latest that they have shown so far, and the earliest that they will show from then on.
// They are a second account of when windows are open: from when the clocks have first shown the beginning, or more, until they show less than
// the end for the last time. It knows nothing of leaps.
type tide struct {
	from         time.Time
	shown, still []int64 // minutes since 1970 by the clock
}

func tides(zone *time.Location, from time.Time, minutes int) tide {
	c := tide{from: from, shown: make([]int64, minutes), still: make([]int64, minutes)}
	for i := range minutes {
		t := from.Add(time.Duration(i) * time.Minute).In(zone)
		_, offset := t.Zone()
		c.shown[i] = (t.Unix() + int64(offset)) / 60
	}
	copy(c.still, c.shown)
	for i := 1; i < minutes; i++ {
		c.shown[i] = max(c.shown[i], c.shown[i-1])
		c.still[minutes-1-i] = min(c.still[minutes-1-i], c.still[minutes-i])
	}
	return c
}

// open is whether a window is open in that minute.
func (c *tide) open(minute int, days string, start, end int64) bool {
	const aDay = 24 * 60
	if end <= start {
		end += aDay
	}
	for date := c.shown[minute]/aDay - 2; date <= c.shown[minute]/aDay; date++ {
		name := dayNames[(date+4)%7] // 1 January 1970 was a Thursday
		if strings.Contains(days, name) && c.shown[minute] >= date*aDay+start && c.still[minute] < date*aDay+end {
			return true
		}
	}
	return false
}

// TestYear walks through a year by Next, and through each of its minutes by the clock: both find the same openings and closings.
func TestYear(t *testing.T) {
	const everyDay = "sun mon tue wed thu fri sat"
	type part struct {
		zone, days string
		start, end int64
	}
	from, minutes := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), 365*24*60
	clocks := map[string]*tide{}
	const margin = 3 * 24 * 60
	clock := func(zone string) *tide {
		if clocks[zone] == nil {
			loc, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			c := tides(loc, from.Add(-margin*time.Minute), minutes+2*margin)
			clocks[zone] = &c
		}
		return clocks[zone]
	}
	for text, parts := range map[string][]part{
		"sat,sun 14:45-17:15 Europe/London":    {{"Europe/London", "sat sun", 14*60 + 45, 17*60 + 15}},
		"01:15-01:45 Europe/London":            {{"Europe/London", everyDay, 75, 105}},
		"sat-sun 22:30-01:30 Europe/London":    {{"Europe/London", "sat sun", 22*60 + 30, 90}},
		"00:00-24:00 America/New_York":         {{"America/New_York", everyDay, 0, 24 * 60}},
		"sun 02:00-03:00 America/New_York":     {{"America/New_York", "sun", 120, 180}},
		"sun 01:30-02:30 America/New_York":     {{"America/New_York", "sun", 90, 150}},
		"sat 22:00-02:30 America/New_York":     {{"America/New_York", "sat", 22 * 60, 150}},
		"12:00-11:59 Australia/Lord_Howe":      {{"Australia/Lord_Howe", everyDay, 12 * 60, 12*60 - 1}}, // put forward by half an hour
		"thu 20:00-24:00 Africa/Cairo":         {{"Africa/Cairo", "thu", 20 * 60, 24 * 60}},
		"thu,fri 23:15-00:45 Africa/Cairo":     {{"Africa/Cairo", "thu fri", 23*60 + 15, 45}},
		"mon-fri 09:00-17:00; sat 10:00-10:01": {{"UTC", "mon tue wed thu fri", 9 * 60, 17 * 60}, {"UTC", "sat", 600, 601}},
		"sun 00:30-01:30 Europe/London; 01:20-01:50 Europe/London; mon 12:00-20:00 America/New_York": {
			{"Europe/London", "sun", 30, 90}, {"Europe/London", everyDay, 80, 110}, {"America/New_York", "mon", 12 * 60, 20 * 60}},
	} {
		open, bounded := Rule{ID: "a", Schedule: text}, Rule{ID: "a", Schedule: text, From: from.Add((60*24 + 11) * time.Hour), To: from.Add((340*24 + 16) * time.Hour)}
		rules := compiled(t, open)
		var changes, within []time.Time // of the one, of the other
		was, wasWithin := false, false
		for i := range minutes {
			now, is := from.Add(time.Duration(i)*time.Minute), false
			for _, p := range parts {
				is = is || clock(p.zone).open(i+margin, p.days, p.start, p.end)
			}
			if is != was && i > 0 {
				changes = append(changes, now)
			}
			isWithin := is && !now.Before(bounded.From) && now.Before(bounded.To)
			if isWithin != wasWithin {
				within = append(within, now)
			}
			was, wasWithin = is, isWithin
			if got := rules.Judge("news", Listener{}, now).Rule != nil; got != is {
				t.Fatalf("%s at %s: open is %t, by the clock %t", text, now, got, is)
			}
		}
		walk(t, open, from, minutes, changes)
		walk(t, bounded, from, minutes, within)
	}
}

// walk goes from change to change, and expects those that are wanted.
func walk(t *testing.T, r Rule, from time.Time, minutes int, want []time.Time) {
	t.Helper()
	rules, end := compiled(t, r), from.Add(time.Duration(minutes)*time.Minute)
	at := from
	for i := 0; ; i++ {
		at = rules.Next(at)
		if at.IsZero() || !at.Before(end) {
			if i < len(want) {
				t.Errorf("%s from %s to %s: after %d changes none, by the clock at %s", r.Schedule, r.From, r.To, i, want[i])
			}
			return
		}
		if i >= len(want) || !at.Equal(want[i]) {
			t.Errorf("%s from %s to %s: change %d is at %s, by the clock there are %v", r.Schedule, r.From, r.To, i, at, want[max(0, i-2):min(len(want), i+2)])
			return
		}
	}
}

// TestNext: of many rules the next change of any, whatever was asked before.
func TestNext(t *testing.T) {
	rules := compiled(t,
		Rule{ID: "a", Schedule: "sat 14:00-15:00", From: noon.Add(-time.Hour)},
		Rule{ID: "b", From: noon.Add(30 * time.Minute), To: noon.Add(150 * time.Minute)},
		Rule{ID: "c", To: noon.Add(time.Second)},
		Rule{ID: "d", Schedule: "sat 12:30-12:45", To: noon.Add(30 * time.Minute)}, // never opens again
		Rule{ID: "e", From: noon.Add(24 * time.Hour * 365)},
	)
	want := []string{"12:00:01", "12:30:00", "14:00:00", "14:30:00", "15:00:00"}
	rnd := rand.New(rand.NewPCG(1, 2))
	var last time.Time
	for range 200 {
		now := noon.Add(time.Duration(rnd.IntN(3*3600)) * time.Second)
		got, i := rules.Next(now).Format(time.TimeOnly), 0
		for i < len(want)-1 && want[i] <= now.Format(time.TimeOnly) {
			i++
		}
		if now.Format(time.TimeOnly) >= "15:00:00" {
			continue
		}
		if got != want[i] {
			t.Fatalf("after %s: %s, want %s (asked before: %s)", now.Format(time.TimeOnly), got, want[i], last.Format(time.TimeOnly))
		}
		last = now
	}
	if got := rules.Next(noon.AddDate(0, 0, 362)).Format(time.RFC3339); got != "2027-05-01T14:00:00Z" {
		t.Error(got)
	}
	if got := compiled(t, Rule{ID: "c", To: noon}, Rule{ID: "d"}).Next(noon); !got.IsZero() {
		t.Errorf("%s: nothing changes any more", got)
	}
}

// TestOpen: of a rule, and of one that was compiled.
func TestOpen(t *testing.T) {
	r := Rule{ID: "a", Schedule: "sat 11:30-12:30", From: noon}
	rules := compiled(t, Rule{ID: "first"}, r)
	for _, c := range []struct {
		now  time.Time
		want bool
	}{{noon.Add(-1), false}, {noon, true}, {noon.Add(30*time.Minute - 1), true}, {noon.Add(30 * time.Minute), false}} {
		if got, compiled := r.Open(c.now), rules.Open(1, c.now); got != c.want || compiled != c.want {
			t.Errorf("%s: %t, compiled %t", c.now, got, compiled)
		}
	}
	if r.Schedule = "sat"; r.Open(noon) {
		t.Error("a rule without a schedule that can be read is open")
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"", "sat,sun 14:45-17:15 Europe/London", "mon-fri 09:00-17:00", "22:00-02:00 America/New_York; 9:05-24:00", "fri-mon 00:00-24:00 Africa/Cairo",
		"sat", "24:00-1:00", "09:00-09:00", ";", "mon-mon 1:00-2:00 Pacific/Apia"} {
		f.Add(s, int64(1_774_746_000))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := ParseSchedule(text)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("%d bytes of error", len(err.Error()))
			}
			return
		}
		now := time.Unix(unix%4_000_000_000, 0)
		open, until := s.at(now)
		if until.IsZero() {
			return
		}
		if !until.After(now) {
			t.Fatalf("%q at %s: until %s", text, now, until)
		}
		if before, _ := s.at(until.Add(-1)); before != open {
			t.Fatalf("%q at %s: it changes before %s", text, now, until)
		}
		if after, _ := s.at(until); after == open {
			t.Fatalf("%q at %s: it does not change at %s", text, now, until)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	rules := make([]Rule, 1000)
	for i := range rules {
		rules[i] = Rule{ID: "r" + time.Duration(i).String(), Schedule: "sat,sun 14:45-17:15 Europe/London"}
	}
	c := compiled(b, rules...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ { // every schedule has changed since the last time
		c.Next(noon.AddDate(0, 0, i%7))
	}
}
