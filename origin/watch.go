package origin

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// watched is a body that ends with ErrTimeout when a Read of it waits too long. How long its reader takes in between is not the
// origin's fault, and does not count.
type watched struct {
	io.ReadCloser
	timer *time.Timer
	stall time.Duration
	stop  context.CancelFunc
	late  atomic.Bool
}

func (c *Client) watch(body io.ReadCloser, stop context.CancelFunc) *watched {
	return watch(body, c.opt.StallTimeout, stop)
}

func watch(body io.ReadCloser, stall time.Duration, stop context.CancelFunc) *watched {
	w := &watched{ReadCloser: body, stall: stall, stop: stop}
	w.timer = time.AfterFunc(stall, func() {
		w.late.Store(true)
		stop()
	})
	w.timer.Stop()
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF && w.late.Load() {
		err = fmt.Errorf("%w: no byte for %v", ErrTimeout, w.stall)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.stop()
	return w.ReadCloser.Close()
}
