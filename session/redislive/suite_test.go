package redislive

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"earshot/session"
	"earshot/session/sessiontest"
)

// TestConformance: what the table in memory passes, this one passes. Each case has a deployment of its own on one server, which so proves that deployments
// do not see one another.
func TestConformance(t *testing.T) {
	s := startServer(t)
	var n atomic.Int64
	fresh := func() string { return fmt.Sprint("suite-", n.Add(1)) }
	sessiontest.Suite{
		Step: 250 * time.Millisecond,
		Open: func(t *testing.T) session.Live { return s.open(t, fresh()) },
		Pair: func(t *testing.T) (session.Live, session.Live) {
			name := fresh()
			return s.open(t, name), s.open(t, name)
		},
	}.Run(t)
}
