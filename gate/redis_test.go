package gate

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"earshot/auth"
	"earshot/session"
	"earshot/session/redislive"
)

// redisServer is a real redis-server of a test's own.
type redisServer struct {
	t    *testing.T
	port string
	cmd  *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	for range 10 {
		s := &redisServer{t: t, port: freePort(t)}
		if s.tries() {
			t.Cleanup(s.kill)
			return s
		}
		s.kill() // somebody else was quicker at the port
	}
	t.Fatal("redis-server does not answer")
	return nil
}

// freePort is below those that the kernel gives to who connects: one that looks for a server there could meet itself.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(12_000 + rand.IntN(4_000)) // redislive's tests run beside these, and go further up
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// start starts it at the port that it has.
func (s *redisServer) start() {
	s.t.Helper()
	if !s.tries() {
		s.t.Fatal("redis-server does not answer")
	}
}

// tries reports whether it answers in the end.
func (s *redisServer) tries() bool {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.t.TempDir())
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && s.runs(); time.Sleep(20 * time.Millisecond) {
		if s.answers() {
			return true
		}
	}
	return false
}

// runs tells whether the process is there, and has not ended.
func (s *redisServer) runs() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid)) // of Linux; elsewhere a minute is waited for it
	return err != nil || !bytes.Contains(text, []byte(") Z "))
}

// answers tells whether it is this process that answers at the port, and not another's.
func (s *redisServer) answers() bool {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+s.port, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("INFO server\r\n")); err != nil {
		return false
	}
	want := "process_id:" + strconv.Itoa(s.cmd.Process.Pid)
	for lines := bufio.NewScanner(io.LimitReader(c, 64<<10)); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "process_id:") {
			return strings.TrimSpace(line) == want
		}
	}
	return false
}

func (s *redisServer) kill() {
	s.cmd.Process.Signal(syscall.SIGKILL)
	s.cmd.Wait()
}

// until waits for something that another process does.
func (s *redisServer) until(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal(what)
		}
	}
}

// edges runs so many gates on it.
func (s *redisServer) edges(n int, opt Options) (all []*rig) {
	s.t.Helper()
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range n {
		live, err := redislive.Open(redislive.Options{URL: "redis://127.0.0.1:" + s.port})
		if err != nil {
			s.t.Fatal(err)
		}
		o := opt
		o.Table, o.Live, o.Many, o.Signer, o.Edge = session.NewTable(200_000), live, true, signer, fmt.Sprint("edge", i)
		r := &rig{s.t, New(o), o.Table}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		s.t.Cleanup(func() {
			cancel()
			<-done
			live.Close()
		})
		all = append(all, r)
	}
	return all
}

func (s *redisServer) seats(r *rig) []session.Seat {
	s.t.Helper()
	seats, err := r.Played(context.Background(), "", 10_000)
	if err != nil {
		s.t.Fatal(err)
	}
	return seats
}

// admitted begins a session of a user, or tries.
func (r *rig) admitted(user, device string) (*session.Session, Verdict) {
	v := r.Admit(context.Background(), &Request{Key: session.Key{ID: session.NewID(), Group: "news"}, Kind: session.HLS, Starts: true,
		Listener: session.Listener{Address: home4, Agent: device}, Identity: auth.Identity{User: user, Device: device}})
	return v.Session, v
}

func (r *rig) again(s *session.Session, piece int) Verdict {
	return r.Renew(context.Background(), s, Visit{Address: home4, Agent: s.Listener().Agent, Piece: uint64(piece)*2 + 1})
}

var home4 = netip.MustParseAddr(home)

// marked tells whether the edge knows whose board it is.
func (r *rig) marked() bool {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	return r.board.mark != ""
}

// TestRedisRestarts: Redis is restarted, empty, under listeners of two edges, faster than a renewal notices, and others are let in at once. All who listen go on, each
// with a seat, and there is no room for more.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	const ttl = 12 * time.Second // listeners must be heard within it, however busy the machine
	edges := redis.edges(2, Options{Limits: perUser(1), SeatTTL: ttl})
	var playing []*session.Session
	for i := range 40 {
		s, v := edges[i%2].admitted(fmt.Sprint("user", i), "tv")
		edges[0].want(v, "")
		playing = append(playing, s)
	}
	for _, e := range edges {
		redis.until("an edge has not seen the board", 30*time.Second, e.marked)
	}
	piece := 0
	play := func() {
		t.Helper()
		for i, s := range playing {
			if v := edges[i%2].again(s, piece); v.Action != Allow {
				t.Fatalf("round %d: listener %d is cut: %s", piece, i, v.Detail)
			}
		}
		piece++
	}
	redis.kill()
	redis.start()
	began := time.Now()
	redis.until("nobody is let in", 20*time.Second, func() bool {
		play()
		_, v := edges[0].admitted("user0", "phone")
		seats, err := edges[0].Played(context.Background(), "", 10)
		return v.Action == Allow && err == nil && len(seats) > 0
	})
	for time.Since(began) < ttl+ttl/4 {
		play()
		time.Sleep(200 * time.Millisecond)
	}
	has := map[session.Key]bool{}
	for _, seat := range redis.seats(edges[0]) {
		has[seat.Key] = true
	}
	for i, s := range playing {
		if !has[s.Key] {
			t.Errorf("listener %d has no seat", i)
		}
		if _, v := edges[i%2].admitted(fmt.Sprint("user", i), "tablet"); v.Code != TooManySessions {
			t.Errorf("user %d: %v %s", i, v.Action, v.Code)
		}
	}
}

// TestRedisStops: Redis stands still for a while under three edges that let listeners in and turn them away. Nobody waits longer than he should, and soon
// after it goes on no seat is taken that is nobody's.
func TestRedisStops(t *testing.T) {
	t.Parallel()
	for _, policy := range []LiveError{LiveAllow, LiveDeny, LiveLast} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			redis := startRedis(t)
			edges := redis.edges(3, Options{Limits: perUser(2), SeatTTL: 30 * time.Second, OnLiveError: policy})
			var mu sync.Mutex
			held := map[session.Key]*session.Session{}
			var longest, still atomic.Int64 // what an admission took, and what the machine let a nap of 10 ms take beyond that
			stop := make(chan struct{})
			var all sync.WaitGroup
			for g := range 24 {
				all.Go(func() {
					r := edges[g%3]
					for {
						select {
						case <-stop:
							return
						case <-time.After(rand.N(40 * time.Millisecond)):
						}
						began := time.Now()
						s, v := r.admitted(fmt.Sprint("user", g), fmt.Sprint("device", rand.N(1000)))
						if took := time.Since(began); took.Nanoseconds() > longest.Load() {
							longest.Store(took.Nanoseconds())
						}
						if v.Action == Allow && rand.N(2) == 0 {
							r.Release(s.Key)
						} else if v.Action == Allow {
							mu.Lock()
							held[s.Key] = s
							mu.Unlock()
						}
					}
				})
			}
			all.Go(func() {
				for began := time.Now(); ; began = time.Now() {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
						still.Store(max(still.Load(), int64(time.Since(began)-10*time.Millisecond)))
					}
				}
			})
			time.Sleep(time.Second)
			redis.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(3 * time.Second)
			redis.cmd.Process.Signal(syscall.SIGCONT)
			time.Sleep(time.Second)
			close(stop)
			all.Wait()
			if longest.Load() > int64(2*time.Second)+5*still.Load() { // the machine may be busy
				t.Errorf("somebody waited for %v, and the machine stood still for %v", time.Duration(longest.Load()), time.Duration(still.Load()))
			}
			redis.until("seats of nobody are left", 27*time.Second, func() bool { // sooner than they expire
				seats, err := edges[0].Played(context.Background(), "", 10_000)
				return err == nil && !slices.ContainsFunc(seats, func(s session.Seat) bool { return held[s.Key] == nil })
			})
		})
	}
}
