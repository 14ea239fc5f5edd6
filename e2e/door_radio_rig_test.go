package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// doorRadio is an ICY listener: one connection that reads until it is closed.
type doorRadio struct {
	answered
	conn   *net.TCPConn
	bytes  atomic.Int64
	closed chan struct{} // the edge has closed the connection
}

// radioAsk is how an ICY listener asks.
type radioAsk struct {
	url, address, agent string
	header              map[string]string
	dead                bool // is unplugged when it has the head
}

// listens opens a connection and waits for the head.
func (a radioAsk) listens(t testing.TB) *doorRadio {
	t.Helper()
	l, err := a.try(t)
	if err != nil {
		t.Fatalf("%s: %v", a.url, err)
	}
	return l
}

func (a radioAsk) try(t testing.TB) (*doorRadio, error) {
	u, err := url.Parse(a.url)
	if err != nil {
		return nil, err
	}
	c, err := dialWindow(u.Host, 0)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", u.RequestURI(), u.Host, a.agent)
	if a.address != "" {
		fmt.Fprintf(&b, "X-Forwarded-For: %s\r\n", a.address)
	}
	for name, value := range a.header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	l := &doorRadio{conn: c, closed: make(chan struct{})}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReaderSize(c, 1024)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	l.answered = answered{status: res.StatusCode, header: res.Header, url: u}
	if res.StatusCode != http.StatusOK {
		defer c.Close()
		defer close(l.closed)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		l.text = string(body)
		return l, json.Unmarshal(body, &l.answered)
	}
	_ = c.SetReadDeadline(time.Time{})
	if a.dead {
		return l, unplug(c)
	}
	go l.read(r)
	return l, nil
}

// unplug has the kernel drop all that comes on a connection: nothing is acknowledged any more, and nobody is told.
func unplug(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none})
	})
	return errors.Join(err, failed)
}

func (l *doorRadio) read(r io.Reader) {
	defer close(l.closed)
	b := make([]byte, 16<<10)
	for {
		n, err := r.Read(b)
		l.bytes.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// leave closes the connection.
func (l *doorRadio) leave() { l.conn.Close() }

// waitCut waits until the edge has closed the connection.
func (l *doorRadio) waitCut(t testing.TB, limit time.Duration, why string) {
	t.Helper()
	if !within(limit, l.closed) {
		t.Fatalf("%s: after %v the connection is still open", why, limit)
	}
}

// listensFor: the connection stays open for a time, and audio comes until its end.
func (l *doorRadio) listensFor(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-l.closed:
		t.Fatalf("%s: the edge closed the connection", l.url.Path)
	case <-time.After(d):
	}
	had := l.bytes.Load()
	eventually(t, 10*time.Second, "audio comes", func() error {
		if l.bytes.Load() == had {
			return fmt.Errorf("none beyond %d bytes", had)
		}
		return nil
	})
}
