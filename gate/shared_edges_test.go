package gate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"earshot/session"
	"earshot/session/sessiontest"
)

// twoEdges runs a test with two gates that share a table. Their tickers are not in step.
func twoEdges(t *testing.T, test func(edges []*rig)) {
	t.Helper()
	twoEdgesWith(t, perUser(1), test)
}

func twoEdgesWith(t *testing.T, limits []Limit, test func(edges []*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		live, done := sessiontest.NewModel(time.Now), make(chan struct{})
		signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
		if err != nil {
			t.Fatal(err)
		}
		var edges []*rig
		for i := range 2 {
			table := session.NewTable(100)
			r := &rig{t, New(Options{Table: table, Live: live, Many: true, Edge: fmt.Sprint("edge-", i), Signer: signer, Limits: limits}), table}
			go func() { r.Run(ctx); done <- struct{}{} }()
			edges = append(edges, r)
			time.Sleep(time.Duration(rand.IntN(20_000)) * time.Millisecond)
		}
		test(edges)
		cancel()
		<-done
		<-done
	})
}

// TestSharedOnTwoEdges: two listeners use one id and grant, each on an edge of his own. The later one is told apart, whichever edge renews first, and the first never is.
func TestSharedOnTwoEdges(t *testing.T) {
	for _, later := range []time.Duration{100 * time.Millisecond, 1700 * time.Millisecond, 20 * time.Second} {
		twoEdges(t, func(edges []*rig) {
			first := edges[0].player("ann", "", home, "TV")
			first.want(first.start("news"), "")
			time.Sleep(later)
			second := edges[1].player("ann", "", phone, "Phone")
			second.id, second.group, second.grant = first.id, first.group, first.grant
			refused := 0
			for i := range 150 {
				first.want(first.next(i), "")
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
				if v := second.next(i); v.Action != Allow {
					second.want(v, TooManySessions)
					refused++
				}
				time.Sleep(time.Second)
			}
			if refused < 50 {
				first.t.Errorf("%v later: refused %d times of 150", later, refused)
			}
		})
	}
}

// TestSharedConnections: the same with connections. One who has moved to another edge and left a dead connection behind is still one listener.
func TestSharedConnections(t *testing.T) {
	twoEdges(t, func(edges []*rig) {
		first := edges[0].player("ann", "", home, "Radio")
		one, v := first.connect("kpcc")
		first.want(v, "")
		flow(3*time.Second, one)
		second := edges[1].player("ann", "", phone, "Radio")
		second.id, second.group, second.kind = first.id, first.group, session.ICY
		v = second.admit(nil, true)
		second.want(v, "")
		two := second.listen(v.Session)
		flow(3*time.Minute, one, two)
		if one.cut.Load() != nil || two.cut.Load() == nil {
			first.t.Errorf("cut: %v, %v", one.cut.Load(), two.cut.Load())
		}
	})
	twoEdges(t, func(edges []*rig) {
		home := edges[0].player("ann", "", home, "Radio")
		dead, v := home.connect("kpcc")
		home.want(v, "")
		flow(time.Minute, dead)
		away := edges[1].player("ann", "", phone, "Radio")
		away.id, away.group, away.kind = home.id, home.group, session.ICY
		v = away.admit(nil, true)
		away.want(v, "")
		alive := away.listen(v.Session)
		flow(5*time.Minute, alive)
		if alive.cut.Load() != nil || alive.moved.Load() != nil {
			home.t.Error("one who moved is taken for two")
		}
	})
}

// TestRoundRobinRoams: one listener whose requests go to two edges in turn, and whose address changes on the way, is one.
func TestRoundRobinRoams(t *testing.T) {
	twoEdges(t, func(edges []*rig) {
		p := edges[0].player("ann", "", home, "TV")
		p.want(p.start("news"), "")
		for i := range 300 {
			time.Sleep(2 * time.Second)
			p.rig = edges[rand.IntN(2)]
			p.address = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + rand.IntN(3))}).String() // of a pool
			p.want(p.next(i), "")
			if got := p.table.Len(); got > 1 {
				p.t.Fatalf("%d sessions on one edge", got)
			}
		}
	})
}
