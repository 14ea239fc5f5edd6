package blackout

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Rules are checked and ready to judge by. They are safe for concurrent use; nil Rules let everybody listen.
type Rules struct {
	all   []rule
	exact map[string][]int32 // by the key of the only streams they name, in order: those without patterns
	wide  []int32            // all others, in order
	place bool
}

// rule is a Rule that can be asked.
type rule struct {
	Rule
	window  window
	where   audience
	except  audience
	literal bool // its streams have no patterns
}

// Compile checks rules and makes them ready, in the order in which they are tried. Errors wrap [ErrRule]. Slices of rules must not be written to after.
func Compile(rules []Rule) (*Rules, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%w: %d rules: write at most %d", ErrRule, len(rules), MaxRules)
	}
	c := &Rules{all: make([]rule, 0, len(rules)), exact: make(map[string][]int32)}
	ids := make(map[string]int, len(rules))
	in, sum := make(zones), 0
	for i := range rules {
		r, err := compile(&rules[i], in, fmt.Sprintf(" number %d", i+1))
		if err != nil {
			return nil, err
		}
		if first, taken := ids[r.ID]; taken {
			return nil, fmt.Errorf("%w number %d, %q: id: number %d has the same: write another", ErrRule, i+1, r.ID, first)
		}
		ids[r.ID] = i + 1
		if sum += r.sum(); sum > MaxSum {
			return nil, fmt.Errorf("%w number %d, %q: the rules so far have %d values: write at most %d in all", ErrRule, i+1, r.ID, sum, MaxSum)
		}
		c.add(r)
	}
	return c, nil
}

// compile makes one rule ready. Which says which it is, if it has no id that would.
func compile(r *Rule, in zones, which string) (rule, error) {
	fail := func(err error) (rule, error) {
		if r.ID != "" {
			which += " " + quote(r.ID)
		}
		return rule{}, fmt.Errorf("%w%s: %w", ErrRule, which, err)
	}
	if err := r.check(); err != nil {
		return fail(err)
	}
	schedule, err := in.schedule(r.Schedule)
	if err != nil {
		return fail(fmt.Errorf("schedule: %w", err))
	}
	c := rule{Rule: *r, where: compileAudience(&r.Where), except: compileAudience(&r.Except)}
	c.window = window{from: r.From, to: r.To, schedule: schedule, last: new(atomic.Pointer[stretch])}
	if c.Action == "" {
		c.Action = Deny
	}
	if c.Unknown == "" {
		c.Unknown = Deny
	}
	pattern := func(s string) bool { return strings.Contains(s, "*") }
	c.literal = len(r.Streams) > 0 && !slices.ContainsFunc(r.Streams, pattern)
	return c, nil
}

func (r *Rules) add(c rule) {
	i := int32(len(r.all))
	r.all = append(r.all, c)
	r.place = r.place || c.where.place || c.except.place
	if !c.literal {
		r.wide = append(r.wide, i)
		return
	}
	for _, s := range c.Streams {
		r.exact[s] = append(r.exact[s], i)
	}
}

// NeedsPlace reports whether a rule asks where a listener is.
func (r *Rules) NeedsPlace() bool { return r != nil && r.place }

// Judge says what the rules have for a listener to group: the first that matches decides, without one he may listen. It does not allocate, and costs nothing
// for rules that name other streams and no patterns.
//
// Where it depends on what is not known of the listener, the rule's Unknown decides. Deny: he is denied by this rule, whatever its action. Allow: a rule that
// allows allows him; one that denies does not concern him, and the next is tried.
func (r *Rules) Judge(group string, l Listener, now time.Time) Verdict {
	if r == nil {
		return Verdict{Action: Allow}
	}
	exact, wide := r.exact[group], r.wide
	for len(exact)+len(wide) > 0 {
		var c *rule
		if len(wide) == 0 || len(exact) > 0 && exact[0] < wide[0] {
			c, exact = &r.all[exact[0]], exact[1:]
		} else {
			c, wide = &r.all[wide[0]], wide[1:]
			if !c.names(group) {
				continue
			}
		}
		if !c.window.open(now) {
			continue
		}
		if action := c.action(&l); action != "" {
			return Verdict{Action: action, Rule: &c.Rule}
		}
	}
	return Verdict{Action: Allow}
}

func (c *rule) names(group string) bool {
	for _, pattern := range c.Streams {
		if matches(pattern, group) {
			return true
		}
	}
	return len(c.Streams) == 0
}

// action is what the rule does to a listener; empty: it does not concern him.
func (c *rule) action(l *Listener) Action {
	concerned := c.where.holds(l)
	if concerned != no && !c.except.empty {
		concerned = min(concerned, yes-c.except.holds(l))
	}
	switch {
	case concerned == yes:
		return c.Action
	case concerned == unknown && (c.Unknown == Deny || c.Action == Allow):
		return c.Unknown
	}
	return ""
}

// Next is the first moment after after at which a rule's window opens or closes; zero: none ever does.
func (r *Rules) Next(after time.Time) time.Time {
	var next time.Time
	if r == nil {
		return next
	}
	for i := range r.all {
		next = earlier(next, r.all[i].window.next(after))
	}
	return next
}

// earlier is the earlier of two times; the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Open reports whether the window of the rule is open that was the i-th of those compiled, from 0.
func (r *Rules) Open(i int, now time.Time) bool { return r.all[i].window.open(now) }

// Open reports whether the rule's window is open. That of a rule which [Rule.Check] refuses for its schedule is not. It reads the schedule each
// time; [Rules.Open] does not.
func (r *Rule) Open(now time.Time) bool {
	s, err := ParseSchedule(r.Schedule)
	w := window{from: r.From, to: r.To, schedule: s}
	return err == nil && w.open(now)
}
