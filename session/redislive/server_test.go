package redislive

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a real redis-server of a test's own.
type server struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
	ask  *redis.Client
}

// ports that this process has handed out: a port is free again between being found and being used.
var ports struct {
	sync.Mutex
	given map[int]bool
}

// freePort is a port that nobody listens at. A cluster node also needs the one 10,000 above.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port -= 16384; port < 1024 || ports.given[port] { // below what the kernel hands out
			continue
		}
		ok := true
		for _, p := range []int{port, port + 10000} {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
			if ok = ok && err == nil; err == nil {
				l.Close()
			}
		}
		if ok {
			ports.given[port] = true
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// startServer starts one. It dies with the test.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), port: freePort(t), args: args}
	s.start()
	s.ask = redis.NewClient(&redis.Options{Addr: s.addr(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		s.ask.Close()
		s.stop()
	})
	s.await()
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.dir, "--logfile", s.dir + "/log", "--daemonize", "no"}, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until it answers.
func (s *server) await() {
	s.t.Helper()
	eventually(s.t, time.Minute, "redis-server does not answer", func() bool { return s.ask.Ping(context.Background()).Err() == nil })
}

// stop kills it, as a power cut does.
func (s *server) stop() {
	if s.cmd != nil {
		s.signal(syscall.SIGKILL)
		s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) signal(sig syscall.Signal) { s.cmd.Process.Signal(sig) }
func (s *server) addr() string              { return fmt.Sprintf("127.0.0.1:%d", s.port) }
func (s *server) url() string               { return "redis://" + s.addr() }

// open opens a Table on it, for the test's life. A test on a busy machine may be slow without Redis being so: timeout is generous unless it is what is tested.
func (s *server) open(t testing.TB, deployment string) *Table {
	t.Helper()
	return openAt(t, Options{URL: s.url(), Deployment: deployment, Timeout: 30 * time.Second})
}

func openAt(t testing.TB, opt Options) *Table {
	t.Helper()
	table, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// eventually waits for something that another process does.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// keys are all of a deployment, without its tag.
func (s *server) keys(t *Table) []string {
	s.t.Helper()
	all, err := s.ask.Keys(context.Background(), t.tag+":*").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range all {
		all[i] = all[i][len(t.tag)+1:]
	}
	return all
}

// halts are how often the machine let a nap of 10 ms take 50 ms longer, and by how much at most, in ns.
type halts struct{ n, longest atomic.Int64 }

// watchMachine naps until the test is over.
func watchMachine(t *testing.T) *halts {
	h, stop, done := &halts{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			began := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			late := time.Since(began) - 10*time.Millisecond
			h.longest.Store(max(h.longest.Load(), int64(late)))
			if late > 50*time.Millisecond {
				h.n.Add(1)
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return h
}
