package blackout

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a bare machine knows no time zones
)

// Schedule is when a rule holds, week after week. The zero Schedule is always open.
type Schedule struct {
	slots []slot
}

// slot is one window of a schedule, on one or more days of the week. It is what the clocks there show: it opens when they show its beginning, or would, where
// they are put forward over it, and closes when they show its end. Of a time that they show twice the first counts for the beginning
// and the second for the end; so a slot is one stretch, and no shorter than the clocks say.
type slot struct {
	days  [7]bool // that it begins on, from Sunday
	start clock
	end   clock // of the day it begins on; 24 h and more: of the next
	zone  *time.Location
}

// clock is minutes after midnight, by the clock.
type clock int

const day clock = 24 * 60

// ParseSchedule reads a schedule: windows, separated by semicolons, of days, times, and a time zone.
//
//	sat,sun 14:45-17:15 Europe/London
//	mon-fri 09:00-17:00; sat 22:00-02:00
//
// Without days it is every day, without a zone UTC. A window whose end is not after its beginning ends on the next day, and belongs to the one that
// it begins on. 24:00 is an end. The empty text is always.
func ParseSchedule(text string) (Schedule, error) { return make(zones).schedule(text) }

// zones are those read so far: thousands of schedules name a few.
type zones map[string]*time.Location

func (z zones) load(name string) (*time.Location, error) {
	if zone, ok := z[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which is another on every edge
		return nil, fmt.Errorf("%s is no time zone: write a name of the IANA database, such as Europe/London", quote(name))
	}
	z[name] = zone
	return zone, nil
}

func (z zones) schedule(text string) (Schedule, error) {
	if strings.TrimSpace(text) == "" {
		return Schedule{}, nil
	}
	if len(text) > MaxText {
		return Schedule{}, fmt.Errorf("%d bytes: write at most %d", len(text), MaxText)
	}
	var s Schedule
	for part := range strings.SplitSeq(text, ";") {
		one, err := z.slot(strings.Fields(part))
		if err != nil {
			return Schedule{}, fmt.Errorf("%s: %w", quote(strings.TrimSpace(part)), err)
		}
		s.slots = append(s.slots, one)
	}
	return s, nil
}

func (z zones) slot(fields []string) (slot, error) {
	s := slot{days: [7]bool{true, true, true, true, true, true, true}, zone: time.UTC}
	if len(fields) > 0 && !strings.Contains(fields[0], ":") {
		if err := s.parseDays(fields[0]); err != nil {
			return s, err
		}
		fields = fields[1:]
	}
	if len(fields) == 0 || len(fields) > 2 {
		return s, errors.New("write days, times and a time zone, such as sat,sun 14:45-17:15 Europe/London")
	}
	if err := s.parseTimes(fields[0]); err != nil {
		return s, err
	}
	if len(fields) == 1 {
		return s, nil
	}
	var err error
	s.zone, err = z.load(fields[1])
	return s, err
}

var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func parseDay(s string) (int, error) {
	for i, name := range dayNames {
		if strings.EqualFold(s, name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s is no day: write mon, tue, wed, thu, fri, sat or sun", quote(s))
}

func (s *slot) parseDays(text string) error {
	s.days = [7]bool{}
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		first, err := parseDay(from)
		if err != nil {
			return err
		}
		last := first
		if ranged {
			if last, err = parseDay(to); err != nil {
				return err
			}
		}
		for d := first; ; d = (d + 1) % 7 {
			s.days[d] = true
			if d == last {
				break
			}
		}
	}
	return nil
}

func (s *slot) parseTimes(text string) error {
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return fmt.Errorf("%s: write two times, such as 14:45-17:15", quote(text))
	}
	var err error
	if s.start, err = parseClock(from); err != nil {
		return err
	}
	if s.end, err = parseClock(to); err != nil {
		return err
	}
	switch {
	case s.start == day:
		return fmt.Errorf("%s: nothing begins at 24:00: write 00:00, and the day after", quote(text))
	case s.start == s.end:
		return fmt.Errorf("%s ends when it begins: write 00:00-24:00 for a whole day", quote(text))
	case s.end < s.start:
		s.end += day
	}
	return nil
}

// parseClock reads 14:45, 9:05 and 24:00.
func parseClock(s string) (clock, error) {
	h, m, ok := strings.Cut(s, ":")
	digits := func(c byte) bool { return '0' <= c && c <= '9' }
	if !ok || len(h) < 1 || len(h) > 2 || len(m) != 2 || !only(h, digits) || !only(m, digits) {
		return 0, fmt.Errorf("%s is no time: write hours and minutes, such as 14:45", quote(s))
	}
	hours, _ := strconv.Atoi(h)
	minutes, _ := strconv.Atoi(m)
	if c := clock(hours*60 + minutes); minutes < 60 && c <= day {
		return c, nil
	}
	return 0, fmt.Errorf("%s is no time of day: write 00:00 to 24:00", quote(s))
}

func (s Schedule) always() bool { return len(s.slots) == 0 }

// at reports whether the schedule is open, and until when it stays so; zero: for ever.
func (s Schedule) at(now time.Time) (open bool, until time.Time) {
	if s.always() {
		return true, time.Time{}
	}
	// What changes next is nearly always near. Two weeks see over the one night in which a window of a single day is skipped with its hour; what does
	// not change in them never does.
	for _, ahead := range []int{2, 9, 17} {
		open, until = s.within(now, ahead)
		if !until.IsZero() && until.Before(now.AddDate(0, 0, ahead-1)) {
			return open, until
		}
	}
	return open, time.Time{}
}

// span is a time in which a slot is open.
type span struct{ from, to time.Time }

// within is at for what begins up to so many days ahead.
func (s Schedule) within(now time.Time, ahead int) (open bool, until time.Time) {
	var begins time.Time
	var spans []span
	for i := range s.slots {
		for d := -2; d <= ahead; d++ {
			w, ok := s.slots[i].span(now, d)
			switch {
			case !ok || !w.to.After(now):
			case w.from.After(now):
				begins = earlier(begins, w.from)
				spans = append(spans, w)
			default:
				open = true
				if w.to.After(until) {
					until = w.to
				}
			}
		}
	}
	if !open {
		return false, begins
	}
	// What goes on without a break is one stretch.
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	for _, w := range spans {
		if w.from.After(until) {
			break
		}
		if w.to.After(until) {
			until = w.to
		}
	}
	return true, until
}

// span is when the slot is open that begins so many days after now's, if one does.
func (s *slot) span(now time.Time, days int) (span, bool) {
	year, month, today := now.In(s.zone).Date()
	if !s.days[time.Date(year, month, today+days, 0, 0, 0, 0, time.UTC).Weekday()] {
		return span{}, false
	}
	first, _ := moments(year, month, today+days, s.start, s.zone)
	_, last := moments(year, month, today+days, s.end, s.zone)
	return span{first, last}, first.Before(last)
}

// moments are the first and the last moment at which the clocks of a zone show a time. They are one but where the clocks are put back. Of a time that
// is not shown, because they are put forward over it, both are the moment at which they are.
func moments(year int, month time.Month, date int, c clock, zone *time.Location) (first, last time.Time) {
	shown := time.Date(year, month, date, 0, int(c), 0, 0, time.UTC)
	at := func(seconds int) time.Time { return shown.Add(-time.Duration(seconds) * time.Second) }
	offset := func(t time.Time) int { _, o := t.In(zone).Zone(); return o }

	t := time.Date(year, month, date, 0, int(c), 0, 0, zone)
	began, ends := t.ZoneBounds()
	switch o := offset(t); {
	case at(o).After(t): // t shows less: it lies before the leap
		return ends.UTC(), ends.UTC()
	case at(o).Before(t):
		return began.UTC(), began.UTC()
	}
	first, last = t.UTC(), t.UTC()
	if !began.IsZero() {
		if before := at(offset(began.Add(-1))); before.Before(began) {
			first = before
		}
	}
	if !ends.IsZero() {
		if after := at(offset(ends)); !after.Before(ends) {
			last = after
		}
	}
	return first, last
}
