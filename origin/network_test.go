package origin

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// network is origins without sockets, so that the time in a test can be its own: what is dialled at an address, by its host and port.
type network struct {
	mu    sync.Mutex
	at    map[string]func(context.Context) (net.Conn, error)
	asked map[string][]string // by address: what the origins were asked for
	open  sync.WaitGroup
}

// client is a client of the network. Each address refuses connections until it is given a behaviour.
func (n *network) client(t *testing.T, opt Options) *Client {
	t.Helper()
	n.at, n.asked = make(map[string]func(context.Context) (net.Conn, error)), make(map[string][]string)
	c := New(opt)
	c.fetcher.transports[0].DialContext = n.dial
	t.Cleanup(func() {
		c.Close()
		n.open.Wait()
	})
	return c
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	dial := n.at[addr]
	n.mu.Unlock()
	if dial == nil {
		n.note(addr, "dial")
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return dial(ctx)
}

func (n *network) note(addr, what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[addr] = append(n.asked[addr], what)
}

// seen is what an origin was asked for since the last look.
func (n *network) seen(addr string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer delete(n.asked, addr)
	return strings.Join(n.asked[addr], " ")
}

// lost lets an address not answer at all.
func (n *network) lost(addr string) {
	n.set(addr, func(ctx context.Context) (net.Conn, error) {
		n.note(addr, "dial")
		select {
		case <-time.After(5 * time.Second): // the dialer's timeout
		case <-ctx.Done():
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	})
}

func (n *network) set(addr string, dial func(context.Context) (net.Conn, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at[addr] = dial
}

// up lets an origin answer each request after a time with a status: 0 is no answer at all.
func (n *network) up(addr string, answer func(path string) (status int, after time.Duration)) {
	n.set(addr, func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		n.open.Go(func() {
			defer far.Close()
			r := bufio.NewReader(far)
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			n.note(addr, req.URL.RequestURI())
			gone := make(chan struct{})
			n.open.Go(func() {
				defer close(gone)
				_, _ = r.ReadByte()
			})
			status, after := answer(req.URL.Path)
			select {
			case <-gone:
				return
			case <-time.After(after):
			}
			if status == 0 {
				<-gone
				return
			}
			fmt.Fprintf(far, "HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
		})
		return near, nil
	})
}

// always answers at once.
func always(status int) func(string) (int, time.Duration) {
	return func(string) (int, time.Duration) { return status, 0 }
}

// get is a fetch of a path from origins: its status, or 0.
func get(t *testing.T, c *Client, path string, hosts ...string) (int, error) {
	t.Helper()
	src := Source{}
	for _, h := range hosts {
		src.URLs = append(src.URLs, "http://"+h+path)
	}
	resp, cancel, err := c.do(t.Context(), http.MethodGet, src, nil)
	if err != nil {
		return 0, err
	}
	defer cancel()
	defer resp.Body.Close()
	return resp.StatusCode, nil
}
