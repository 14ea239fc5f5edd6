package e2e

import "testing"

// TestRelay is what happens to a mount and its listeners. The stories run beside each other whatever -parallel says: nearly all that they
// do is to wait.
func TestRelay(t *testing.T) {
	t.Parallel()
	together(t, map[string]func(*testing.T){
		"shoutcast": testRelayShoutcast,
		"outage":    testRelayOutage,
		"failover":  testRelayFailover,
		"file":      testRelayFile,
		"patience":  testRelayPatience,
		"shift":     testRelayShift,
		"devices":   testRelayDevices,
		"gone":      testRelayGone,
	})
}
