package sessiontest

import (
	"testing"
	"time"

	"earshot/session"
)

// TestModel holds the model to its own suite.
func TestModel(t *testing.T) {
	Suite{Open: func(*testing.T) session.Live { return NewModel(time.Now) }, Step: 250 * time.Millisecond, Bubble: true}.Run(t)
}
