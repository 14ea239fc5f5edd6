package sessiontest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHear: a case that fails is heard again only where something hangs on the time and its calls were slow, and with longer steps.
func TestHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []time.Duration
		hear(t, 250*time.Millisecond, func(j *judge) { // a machine that takes a second for anything
			steps = append(steps, j.step)
			life, began := j.steps(2), time.Now()
			time.Sleep(time.Second)
			if time.Since(began) > life {
				j.Fatalf("it expired")
			}
		})
		if len(steps) != 2 || steps[1] != time.Second {
			t.Errorf("%v", steps)
		}
	})
}

func TestJudge(t *testing.T) {
	j := &judge{T: t, step: time.Nanosecond}
	done := make(chan struct{})
	go func() { defer close(done); j.Errorf("a %d", 1); j.Fatal("b"); j.Error("c") }()
	<-done
	if len(j.faults) != 2 || !strings.HasPrefix(j.faults[0], "judge_test.go:") || !strings.HasSuffix(j.faults[0], ": a 1") {
		t.Errorf("%q", j.faults)
	}
}
