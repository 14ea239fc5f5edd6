package redislive

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"earshot/session"
)

// cluster is three masters with a replica each.
type cluster struct {
	t     testing.TB
	nodes []*server
	ways  []*way
}

func startCluster(t testing.TB) *cluster { return startClusterBehind(t, nil) }

// startClusterBehind starts one whose nodes say that they are at the other ends of ways, where these are not nil.
func startClusterBehind(t testing.TB, ways []*way) *cluster {
	c := &cluster{t: t, ways: ways}
	var addrs []string
	for i := range 6 {
		args := []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"}
		if ways != nil {
			args = append(args, "--cluster-node-timeout", "15000", "--cluster-announce-port", strconv.Itoa(ways[i].port()))
		}
		n := startServer(t, args...)
		if ways != nil {
			ways[i].leadTo(n.addr())
		}
		c.nodes = append(c.nodes, n)
		addrs = append(addrs, n.addr())
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.Command("redis-cli", append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, 20*time.Second, "the cluster does not come up", func() bool {
		for _, n := range c.nodes {
			info := n.ask.ClusterInfo(context.Background()).Val()
			repl := n.ask.Info(context.Background(), "replication").Val()
			if !strings.Contains(info, "cluster_state:ok") || strings.Contains(repl, "role:slave") && !strings.Contains(repl, "master_link_status:up") ||
				strings.Contains(repl, "role:master") && !strings.Contains(repl, "connected_slaves:1") {
				return false
			}
		}
		return true
	})
	return c
}

func (c *cluster) url() string {
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, n.addr())
	}
	for i, w := range c.ways {
		hosts[i] = w.addr()
	}
	return "redis://" + strings.Join(hosts, ",") + "/"
}

// master is the node that has the deployment's slot.
func (c *cluster) master(t *Table) *server {
	for _, n := range c.nodes {
		if n.cmd == nil {
			continue
		}
		if !strings.Contains(n.ask.Info(context.Background(), "replication").Val(), "role:master") {
			continue
		}
		if n.ask.Exists(context.Background(), t.tag+":exp").Err() == nil { // else MOVED
			return n
		}
	}
	return nil
}

// slack is what a busy machine may add to 250 ms.
const slack = 300 * time.Millisecond

// TestCluster: the master of the deployment's slot is killed under load. Calls fail within their time meanwhile; claims go on once a replica has taken
// over; what it had not heard of is Gone at its renewal, and can be restored; limits hold again.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	const max = 60
	var edges []*Table
	for range 3 {
		edges = append(edges, openAt(t, Options{URL: c.url(), Deployment: "radio"}))
	}
	ctx := context.Background()
	claim := func(edge int, id string, restore bool) (session.Answer, error) {
		return edges[edge].Claim(ctx, &session.Claim{TTL: time.Hour, Policy: session.Reject, Restore: restore, Seat: session.Seat{
			Key: session.Key{ID: session.ID(id), Group: "g"}, Uses: []session.Use{{Name: "edge", Max: max}, {Name: "user=" + id, Max: 1}}}})
	}
	eventually(t, 30*time.Second, "no claim at first", func() bool { _, err := claim(0, "first", false); return err == nil })
	if err := edges[0].Release(ctx, "", session.Key{ID: "first", Group: "g"}); err != nil {
		t.Fatal(err)
	}

	notices := make(chan session.Notice, 100)
	watching, unwatch := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { edges[2].Watch(watching, func(n session.Notice) { notices <- n }) })
	defer watcher.Wait()
	defer unwatch()
	awaitZero(t, notices, "at first")

	var held sync.Map // id → struct{}, what answers have said
	var failed, worst, back atomic.Int64
	var killed atomic.Pointer[time.Time]
	done := make(chan struct{})
	var load sync.WaitGroup
	for g := range 6 {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
				id := fmt.Sprintf("%d-%d", g, i)
				begun := time.Now()
				a, err := claim(g%3, id, false)
				took := time.Since(begun)
				for w := worst.Load(); int64(took) > w && !worst.CompareAndSwap(w, int64(took)); w = worst.Load() {
				}
				switch at := killed.Load(); {
				case err != nil:
					failed.Add(1)
					if !errors.Is(err, session.ErrLive) {
						t.Errorf("%v", err)
					}
				case at != nil && failed.Load() > 0 && begun.After(*at):
					back.CompareAndSwap(0, int64(time.Since(*at)))
					fallthrough
				default:
					if a.Outcome == session.Held {
						held.Store(id, struct{}{})
						if i%2 == 0 && edges[g%3].Release(ctx, "", a.Seat.Key) == nil {
							held.Delete(id)
						}
					}
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	first := c.master(edges[0])
	now := time.Now()
	killed.Store(&now)
	first.stop()
	eventually(t, 40*time.Second, "claims do not go on", func() bool { return back.Load() > 0 })
	awaitZero(t, notices, "after the failover")
	close(done)
	load.Wait()
	t.Logf("claims went on %v after the kill; %d calls failed; the slowest took %v", time.Duration(back.Load()), failed.Load(), time.Duration(worst.Load()))
	if failed.Load() == 0 || time.Duration(worst.Load()) > 8*time.Second || // the gate waits for no longer than it will
		time.Duration(back.Load()) > 20*time.Second {
		t.Errorf("%d failed, the slowest call took %v, claims went on after %v", failed.Load(), time.Duration(worst.Load()), time.Duration(back.Load()))
	}

	// What the replica had not heard of: of the seats that answers gave, those that are gone.
	second := c.master(edges[0])
	if second == nil || second == first {
		t.Fatal("nobody has taken over")
	}
	var renewals []session.Renewal
	held.Range(func(id, _ any) bool {
		renewals = append(renewals, session.Renewal{Key: session.Key{ID: session.ID(id.(string)), Group: "g"}, TTL: time.Hour})
		return true
	})
	var standings []session.Standing
	eventually(t, 30*time.Second, "renewals fail", func() bool {
		var err error
		standings, err = edges[1].Renew(ctx, "b", renewals)
		return err == nil
	})
	lost := 0
	for i, st := range standings {
		if st.State == session.Gone {
			lost++
			eventually(t, 30*time.Second, fmt.Sprintf("%v is not restored", renewals[i].Key), func() bool {
				a, err := claim(1, string(renewals[i].Key.ID), true)
				return err == nil && a.Outcome == session.Held
			})
		}
	}
	t.Logf("%d of %d seats lost with the master's last writes, and restored", lost, len(renewals))

	// Calls whose answers were lost may hold seats too: what Redis says is what counts.
	var seats []session.Seat
	eventually(t, 30*time.Second, "seats cannot be listed", func() bool {
		var err error
		seats, err = edges[0].Seats(ctx, "", "", 1000)
		return err == nil
	})
	if len(seats) > max+lost {
		t.Errorf("%d seats", len(seats))
	}
	for _, s := range seats {
		eventually(t, 30*time.Second, "a release fails", func() bool { return edges[2].Release(ctx, "", s.Key) == nil })
	}
	n := 0
	for i := range 2 * max {
		var a session.Answer
		eventually(t, 30*time.Second, "claims fail", func() bool { // on a machine that stands still
			var err error
			a, err = claim(i%3, fmt.Sprint("again", i), false)
			return err == nil
		})
		if a.Outcome == session.Held {
			n++
		}
	}
	if n != max {
		t.Errorf("%d let in after the failover where there is room for %d", n, max)
	}
}

func awaitZero(t *testing.T, notices <-chan session.Notice, when string) {
	t.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case n := <-notices:
			if n == (session.Notice{}) {
				return
			}
		case <-late:
			t.Fatal("no zero notice ", when)
		}
	}
}

// TestURLOfAClusterByOneName: one node is enough to find the others.
func TestURLOfAClusterByOneName(t *testing.T) {
	t.Parallel()
	n := startServer(t, "--cluster-enabled", "yes")
	if err := n.ask.ClusterAddSlotsRange(context.Background(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	table := openAt(t, Options{URL: n.url() + "/?cluster=true", Timeout: 5 * time.Second})
	eventually(t, 10*time.Second, "no claim", func() bool {
		return table.End(context.Background(), session.Ending{Key: session.Key{ID: "a", Group: "g"}, For: time.Minute}) == nil
	})
}

// TestSlow: Redis is stopped, and goes on. Nobody waits longer than the timeout, and few wait at all.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	table := openAt(t, Options{URL: s.url()})
	claim := func() (time.Duration, error) {
		begun := time.Now()
		_, err := table.Claim(context.Background(), &session.Claim{TTL: time.Hour, Seat: session.Seat{Key: session.Key{ID: "a", Group: "g"}}})
		return time.Since(begun), err
	}
	eventually(t, 5*time.Second, "no claim at first", func() bool { _, err := claim(); return err == nil })

	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	halts := watchMachine(t)
	waited, calls := 0, 0
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); calls++ {
		took, err := claim()
		if !errors.Is(err, session.ErrLive) || took > defaultTimeout+slack+2*time.Duration(halts.longest.Load()) {
			t.Fatalf("%v after %v", err, took)
		}
		if took > 100*time.Millisecond {
			waited++
		}
		time.Sleep(2 * time.Millisecond)
	}
	if n := int(halts.n.Load()); waited < 2 && n == 0 || waited > 5+n || calls < 100 && n == 0 {
		t.Errorf("%d of %d calls waited in 2.5 s: one at first, and one for each pause of 0.5 to 1 s after it", waited, calls)
	}
	s.signal(syscall.SIGCONT)
	eventually(t, 30*time.Second, "it is not found to be back", func() bool { _, err := claim(); return err == nil })
}
