package origin

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errTest = errors.New("test")

// patient is an origin's health, with a note of every time it went out or came back.
func patient() (*health, *[]bool) {
	var changes []bool
	h := &health{name: "http://a:80"}
	h.change = func(failure error) { changes = append(changes, failure == nil) }
	return h, &changes
}

func (h *health) fail(k kind, about string, trial bool) {
	h.failed(failure{k, about, errTest, time.Now()}, trial)
}

// TestLimits: how many failures in a row take an origin out, and how far.
func TestLimits(t *testing.T) {
	type step struct {
		kind  kind
		about string
	}
	refused, silent, error5 := step{unreached, "a"}, step{mute, "a"}, step{refusing, "a"}
	other := step{mute, "b"}
	for name, row := range map[string]struct {
		steps []step
		want  condition
	}{
		"one":                  {[]step{refused}, up},
		"two":                  {[]step{refused, refused}, up},
		"three":                {[]step{refused, refused, refused}, out},
		"silent on one thing":  {[]step{silent, silent, silent}, doubtful},
		"silent on two":        {[]step{silent, silent, other}, out},
		"four 5xx":             {[]step{error5, error5, error5, error5}, up},
		"five 5xx":             {[]step{error5, error5, error5, error5, error5}, doubtful},
		"mixed":                {[]step{error5, silent, refused}, out},
		"5xx after the others": {[]step{refused, refused, error5, error5}, up},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := patient()
				for _, s := range row.steps {
					h.fail(s.kind, s.about, false)
					time.Sleep(refusingFor / 2)
				}
				if got, _ := h.stand(); got != row.want {
					t.Errorf("%v, want %v", got, row.want)
				}
			})
		})
	}
}

// TestRests: an origin that stays away is tried after longer and longer rests, a quarter more or less; one answer brings it back.
func TestRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, changes := patient()
		for range 3 {
			h.fail(unreached, "a", false)
		}
		for _, want := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
			8 * time.Second, 8 * time.Second} {
			time.Sleep(want*3/4 - 1)
			if h.claim() {
				t.Fatalf("tried after less than %v", want*3/4)
			}
			time.Sleep(want/2 + 1)
			if _, due := h.stand(); !due {
				t.Fatalf("not tried after %v", want*5/4)
			}
			if !h.claim() || h.claim() {
				t.Fatal("not one trial")
			}
			h.fail(unreached, "a", true)
		}
		h.fail(unreached, "a", false) // of a request that began before
		time.Sleep(10 * time.Second)
		if !h.claim() {
			t.Fatal("a failure that was no trial made the rest longer")
		}
		trial, why := h.pending()
		if why != errTest {
			t.Error(why)
		}
		h.answered(true)
		<-trial
		if got, _ := h.stand(); got != up || len(*changes) != 2 || (*changes)[0] || !(*changes)[1] {
			t.Errorf("%v, %v", got, *changes)
		}
	})
}

// TestAlive: a failure does not count against an origin that has answered something else meanwhile, and an answer ends the row.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := patient()
		began := time.Now()
		time.Sleep(time.Second)
		h.answered(false)
		for range 10 {
			h.failed(failure{mute, "a", errTest, began}, false)
		}
		for range 10 {
			time.Sleep(time.Second)
			h.fail(unreached, "a", false)
			h.fail(unreached, "a", false)
			h.answered(false)
		}
		if got, _ := h.stand(); got != up {
			t.Error("it is out")
		}
	})
}

// TestFlapping: an origin that fails again as soon as it is back rests longer, until it has been well for a while.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := patient()
		for _, want := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second} {
			for range 5 {
				h.fail(refusing, "a", false)
				time.Sleep(refusingFor / 3)
			}
			if h.rest != want {
				t.Errorf("rests for %v, want %v", h.rest, want)
			}
			time.Sleep(2 * want)
			h.answered(h.claim())
		}
		time.Sleep(time.Minute)
		for range 5 {
			h.fail(refusing, "a", false)
			time.Sleep(refusingFor / 3)
		}
		if h.rest != firstRest {
			t.Errorf("rests for %v after a good minute", h.rest)
		}
	})
}

// TestDropped: a trial that its listener left leaves the next one to another.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := patient()
		for range 3 {
			h.fail(unreached, "a", false)
		}
		time.Sleep(time.Second)
		if !h.claim() {
			t.Fatal("no trial")
		}
		h.dropped(true)
		if !h.claim() {
			t.Error("no trial after one that was dropped")
		}
		h.dropped(true)
	})
}

// TestBudget: fifty retries, and then one for every five first requests.
func TestBudget(t *testing.T) {
	b := budget{fifths: budgetBurst}
	b.deposit()
	n := 0
	for b.withdraw() {
		n++
	}
	if n != 50 {
		t.Errorf("%d retries to begin with", n)
	}
	n = 0
	for range 100 {
		b.deposit()
		if b.withdraw() {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d retries for 100 requests", n)
	}
}
