package gate

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"earshot/session"
)

// Listeners still come, and leave, while the end is waited for: the race detector finds nothing to say of it.
func TestEndsWhileListenersCome(t *testing.T) {
	for round := range 20 {
		g := New(Options{Table: session.NewTable(100), Live: session.NewMemory(100), Many: true, Edge: "edge"})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { g.Run(ctx) })
		for n := range 8 {
			all.Go(func() {
				if n == round%8 {
					cancel()
				}
				for i := range 20 {
					k := session.Key{ID: session.ID(fmt.Sprint(n, "-", i)), Group: "news"}
					g.Admit(t.Context(), &Request{Key: k, Kind: session.HLS, Listener: session.Listener{Address: netip.MustParseAddr("192.0.2.7")}, Starts: true})
					g.Release(k)
				}
			})
		}
		all.Wait()
		cancel()
		g.background.Wait()
	}
}
