package e2e

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// liveLimit is how long an admission may take while the table cannot be reached: 250 ms, and what a busy machine adds. Without a limit of the edge's
// own it would be what the client waits for Redis, which is 3 s and more.
const liveLimit = 250*time.Millisecond + 1500*time.Millisecond

// TestRedisOutage: Redis is slow, killed and started empty under listeners who play.
func TestRedisOutage(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allow", "deny", "last"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			o := startOutage(t, policy)
			o.newcomers("before", map[string]string{"free": "", "full": "too-many-sessions"})
			o.redis.proc.signal(syscall.SIGSTOP)
			o.newcomers("while Redis hangs", o.without())
			o.passes(f4(o.ttl))
			o.returns("after it hung", func() { o.redis.proc.signal(syscall.SIGCONT) })
			o.redis.kill()
			o.newcomers("while Redis is gone", o.without())
			o.passes(f4(o.ttl))
			o.returns("after it was started empty", func() { o.redis.start(t) })
			o.ends()
		})
	}
}

// f4 is longer than seats live.
func f4(ttl time.Duration) time.Duration { return ttl * 5 / 4 }

// outage is listeners who play on two edges.
type outage struct {
	*fleet
	t       *testing.T
	policy  string
	radios  []*wireless
	stops   []func()
	players []*fan
	visits  int // of newcomers
	seated  int
}

const outageListeners = 12 // of each kind

func startOutage(t *testing.T, policy string) *outage {
	o := &outage{fleet: startFleet(t, gateOptions{edges: 2, ttl: 3 * time.Second, onError: policy}), t: t, policy: policy}
	for i := range outageListeners {
		p := o.fan(t, fmt.Sprintf("hls-%d", i), "tv", fmt.Sprintf("192.0.2.%d", 100+i), i%2)
		want(t, "a player", p.open("live", ""), "")
		o.players = append(o.players, p)
		if policy != "deny" {
			o.stops = append(o.stops, p.playing(t))
		}
		r := o.fan(t, fmt.Sprintf("icy-%d", i), "radio", fmt.Sprintf("192.0.2.%d", 150+i), i%2).tune(t, "")
		want(t, "a radio", r.answer, "")
		o.radios = append(o.radios, r)
	}
	o.seated = 2 * outageListeners
	if policy == "deny" {
		o.seated = outageListeners // players come and go there: the radios are what is looked at
	}
	return o
}

// newcomers come: one who has no session, and one whose user is at his limit, on both edges and of both kinds. want is what they are told.
func (o *outage) newcomers(when string, wants map[string]string) {
	o.t.Helper()
	before := o.degraded()
	for i := range o.edges {
		for kind, code := range wants {
			o.visits++
			user := fmt.Sprintf("new-%d", o.visits)
			if kind == "full" {
				user = fmt.Sprintf("icy-%d", i) // who plays on this edge
			}
			p := o.fan(o.t, user, fmt.Sprintf("phone-%d", o.visits), "198.51.100.77", i)
			a := p.get("/live/master.m3u8?token=" + p.token)
			want(o.t, fmt.Sprintf("%s, a player who is %s", when, kind), a, code)
			p = o.fan(o.t, or(map[string]string{"full": user}[kind], user+"-icy"), fmt.Sprintf("car-%d", o.visits), "198.51.100.78", i)
			r := p.tune(o.t, "")
			want(o.t, fmt.Sprintf("%s, a radio that is %s", when, kind), r.answer, code)
			r.end()
			if p.longest > liveLimit || a.header == nil {
				o.t.Errorf("%s, an admission took %v", when, p.longest)
			}
		}
	}
	if now := o.degraded(); when != "before" && now <= before {
		o.t.Errorf("%s: %v decisions are counted as degraded, and %v before", when, now, before)
	}
}

// without is what newcomers are told while there is no Redis.
func (o *outage) without() map[string]string {
	switch o.policy {
	case "allow":
		return map[string]string{"free": "", "full": ""}
	case "deny":
		return map[string]string{"free": "edge-full", "full": "edge-full"}
	}
	return map[string]string{"free": "", "full": "too-many-sessions"}
}

func (o *outage) degraded() (sum float64) {
	for _, e := range o.edges {
		sum += e.value(o.t, "earshot_gate_degraded_total", fmt.Sprintf("policy=%q", o.policy))
	}
	return sum
}

// passes lets time pass; who plays goes on.
func (o *outage) passes(d time.Duration) {
	o.t.Helper()
	time.Sleep(d)
	if o.policy == "deny" {
		return
	}
	for _, r := range o.radios {
		r.plays(o.t)
	}
}

// returns has Redis return, and waits until those who play have seats again. Each claims his once or twice, or once more
// on a machine that is late; no more connections are made than before.
func (o *outage) returns(when string, do func()) {
	o.t.Helper()
	before := o.asked()
	do()
	if o.policy == "deny" { // who was cut comes again
		o.tuneAgain()
	}
	began := time.Now()
	eventually(o.t, 6*o.ttl, when+", seats are there again", func() error {
		if n, err := o.held(); n != o.seated {
			return fmt.Errorf("%d of %d: %v", n, o.seated, err)
		}
		return nil
	})
	took := time.Since(began)
	time.Sleep(o.ttl / 3) // the next renewal
	claims, connections := o.asked()-before, o.redis.info(o.t, "clients", "connected_clients")
	if claims > 3*float64(o.seated) || connections > 40 {
		o.t.Errorf("%s, %v claims were made for %d sessions, and there are %d connections", when, claims, o.seated, connections)
	}
	o.t.Logf("%s: %d seats after %v, by %v claims on %d connections", when, o.seated, took.Round(10*time.Millisecond), claims, connections)
}

// asked is how many claims Redis has answered.
func (o *outage) asked() (sum float64) {
	for _, e := range o.edges {
		sum += e.value(o.t, "earshot_redis_calls_total", `verb="claim"`, `outcome="ok"`)
	}
	return sum
}

// held are the seats of those who play.
func (o *outage) held() (n int, err error) {
	all, err := o.edges[0].limits()
	for i := range outageListeners {
		n += all[fmt.Sprintf("user=icy-%d", i)]
		if o.policy != "deny" {
			n += all[fmt.Sprintf("user=hls-%d", i)]
		}
	}
	return n, err
}

func (o *outage) tuneAgain() {
	for i, r := range o.radios {
		select {
		case <-r.closed:
		default:
			continue
		}
		p := o.fan(o.t, fmt.Sprintf("icy-%d", i), "radio", fmt.Sprintf("192.0.2.%d", 150+i), i%2)
		eventually(o.t, 15*time.Second, "a radio comes again", func() error {
			if o.radios[i] = p.tune(o.t, ""); !o.radios[i].ok() {
				return fmt.Errorf("%v", o.radios[i].answer)
			}
			return nil
		})
	}
}

// ends asks those who have played all the time whether anything was amiss.
func (o *outage) ends() {
	o.t.Helper()
	for _, stop := range o.stops {
		stop()
	}
	for i, r := range o.radios {
		if o.policy == "deny" {
			break
		}
		select {
		case <-r.closed:
			o.t.Errorf("radio %d was cut", i)
		default:
		}
	}
}

// TestRedisCluster: edges on a cluster of three masters with replicas, one of which is killed while people come and play.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	nodes := startRedisCluster(t)
	f := startFleet(t, gateOptions{edges: 2, ttl: 4 * time.Second, limits: "{per: user, max: 1}",
		url: fmt.Sprintf("redis://%s,%s,%s", nodes[0].addr(), nodes[1].addr(), nodes[2].addr())})
	var stops []func()
	for i := range 6 {
		p := f.fan(t, fmt.Sprintf("steady-%d", i), "tv", fmt.Sprintf("192.0.2.%d", 40+i), i%2)
		want(t, "a player", p.open("live", ""), "")
		stops = append(stops, p.playing(t))
	}
	done, come := make(chan struct{}), &sync.WaitGroup{}
	var longest [4]time.Duration
	for i := range longest {
		come.Go(func() { longest[i] = f.arrivals(t, i, done) })
	}
	time.Sleep(500 * time.Millisecond)
	master := holding(t, nodes)
	master.kill()
	killed := time.Now()
	eventually(t, 20*time.Second, "another master holds the seats", func() error {
		for _, n := range nodes {
			if n != master && n.ask.Exists(context.Background(), "{earshot:default}:exp").Val() == 1 {
				return nil
			}
		}
		return fmt.Errorf("none does")
	})
	failover := time.Since(killed)
	eventually(t, 3*f.ttl, "seats are there again", func() error {
		if _, err := f.edges[1].limits(); err != nil {
			return err
		}
		all, err := f.edges[0].limits()
		for i := range stops {
			if n := all[fmt.Sprintf("user=steady-%d", i)]; n != 1 {
				return fmt.Errorf("steady-%d has %d: %v", i, n, err)
			}
		}
		return nil
	})
	close(done)
	come.Wait()
	for i, stop := range stops {
		p := f.fan(t, fmt.Sprintf("steady-%d", i), "phone", "198.51.100.60", 1-i%2)
		eventually(t, f.ttl, "his other device is refused, when all is well again", func() error {
			if a := p.get("/live/master.m3u8?token=" + p.token); a.code != "too-many-sessions" {
				return fmt.Errorf("%v", a)
			}
			return nil
		})
		stop()
	}
	for _, d := range longest {
		if d > liveLimit {
			t.Errorf("an admission took %v", d)
		}
	}
	t.Logf("failed over in %v; the longest of each who came: %v", failover.Round(time.Millisecond), longest)
}

// arrivals has one new user after another come, and returns how long one waited at most.
func (f *fleet) arrivals(t *testing.T, who int, done <-chan struct{}) (longest time.Duration) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return longest
		case <-time.After(50 * time.Millisecond):
		}
		p := f.fan(t, fmt.Sprintf("come-%d-%d", who, n), "tv", fmt.Sprintf("203.0.113.%d", 10+who), n%2)
		if a := p.get("/live/master.m3u8?token=" + p.token); !a.ok() {
			t.Errorf("a newcomer: %v", a)
			return longest
		}
		longest = max(longest, p.longest)
	}
}
