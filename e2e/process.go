package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program that the test started and that does not outlive it.
type process struct {
	cmd    *exec.Cmd
	log    string        // the file with what it printed, but for what the test reads itself
	exited chan struct{} // closed once err is set
	err    error         // of Wait
}

// program finds an installed program. One that is missing is a failure: a skipped test would look like a passed one.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run make test, which installs it", name)
	}
	return path
}

// start runs a program until the end of the test at most. What it prints is shown if the test fails.
func start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	return begin(t, exec.Command(program(t, name), args...))
}

// startReading is start for a program whose standard output the test reads.
func startReading(t testing.TB, name string, args ...string) (*process, io.Reader) {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	// Not StdoutPipe: Wait closes that, and what the program wrote last would be lost.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd.Stdout = w
	p := begin(t, cmd)
	w.Close()
	return p, r
}

func begin(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	name := filepath.Base(cmd.Path)
	log, err := os.CreateTemp(t.TempDir(), name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	// A group of its own, so that its children go with it; and it goes if the test is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p := &process{cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group can outlive its leader
		close(p.exited)
	}()
	t.Cleanup(func() {
		state := "still ran"
		if p.ended() {
			state = "had ended: " + cmd.ProcessState.String()
		}
		p.end()
		if t.Failed() {
			t.Logf("%s\n%s, and printed:\n%s", strings.Join(cmd.Args, " "), state, tail(p.output(t), 15))
		}
	})
	return p
}

// wait waits for the program to end by itself and returns how it did.
func (p *process) wait(t testing.TB, limit time.Duration) error {
	t.Helper()
	if !within(limit, p.exited) {
		t.Fatalf("%s still runs after %v", filepath.Base(p.cmd.Path), limit)
	}
	return p.err
}

// signal sends sig to the program, if it still runs.
func (p *process) signal(sig syscall.Signal) {
	if !p.ended() {
		_ = p.cmd.Process.Signal(sig) // it may just have ended
	}
}

// ended tells whether the program has ended; then cmd.ProcessState says how.
func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// end ends the program and its children.
func (p *process) end() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
}

// ready waits until check returns nil, as eventually does, but no longer than the program runs.
func (p *process) ready(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	eventually(t, limit, what, func() error {
		if p.ended() {
			t.Fatalf("%s: %s has ended: %v", what, filepath.Base(p.cmd.Path), p.cmd.ProcessState)
		}
		return check()
	})
}

// output is what the program has printed so far.
func (p *process) output(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// run runs a program to its end and returns what it printed on standard output. It fails the test if the program fails, or says
// anything on standard error.
func run(t testing.TB, limit time.Duration, name string, args ...string) string {
	t.Helper()
	p, stdout := startReading(t, name, args...)
	out, err := io.ReadAll(stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t, limit); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if said := strings.TrimSpace(p.output(t)); said != "" {
		t.Errorf("%s complains:\n%s", name, tail(said, 20))
	}
	return string(out)
}
