package sessiontest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// judge notes what is wrong in a case, and how long all of it took that was not waited for. A case whose calls took about as long as its steps says nothing about
// the table, but about the machine.
type judge struct {
	*testing.T
	step time.Duration

	mu     sync.Mutex
	faults []string
	timed  bool          // something hangs on how much time passes
	slept  time.Duration // by intent
}

func (j *judge) steps(n int) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.timed = true
	return time.Duration(n) * j.step
}

// pass lets that many steps go by.
func (j *judge) pass(steps int) {
	d := j.steps(steps)
	time.Sleep(d)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.slept += d
}

func (j *judge) note(text string) {
	where := ""
	for up := 2; up < 12 && where == ""; up++ {
		if _, file, line, ok := runtime.Caller(up); ok && filepath.Base(file) != "suite.go" {
			where = fmt.Sprintf("%s:%d: ", filepath.Base(file), line)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults = append(j.faults, where+text)
}

func (j *judge) Error(args ...any)                 { j.note(fmt.Sprint(args...)) }
func (j *judge) Errorf(format string, args ...any) { j.note(fmt.Sprintf(format, args...)) }
func (j *judge) Fatal(args ...any)                 { j.note(fmt.Sprint(args...)); runtime.Goexit() }
func (j *judge) Fatalf(format string, args ...any) {
	j.note(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// mostStep is the longest step that a slow machine is given.
const mostStep = 8 * time.Second

// hear runs a case, and again with longer steps where it failed and its calls took so long that it may be for that.
func hear(t *testing.T, step time.Duration, run func(*judge)) {
	for {
		j := &judge{T: t, step: step}
		began, done := time.Now(), make(chan struct{})
		go func() { defer close(done); run(j) }() // Fatal ends it
		<-done
		slow := time.Since(began) - j.slept
		if len(j.faults) == 0 {
			return
		}
		if !j.timed || slow < step/4 || 2*step > mostStep {
			t.Error(strings.Join(j.faults, "\n"))
			return
		}
		t.Logf("with steps of %v its calls took %v, and %s", step, slow, strings.Join(j.faults, "; "))
		step = max(4*step, min(slow, mostStep))
	}
}
