//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is many visitors of one server, each with a session.
type crowd struct {
	server   *server
	tls      bool
	visitors []*visitor
	fresh    time.Time
}

// gather opens n connections, has everybody arrive, and one fetch everything.
func gather(s *server, n int, cert *certificate) (*crowd, error) {
	c := &crowd{server: s, tls: cert != nil, fresh: time.Now()}
	var secure *tls.Config
	if cert != nil {
		secure = &tls.Config{RootCAs: cert.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
	}
	group := rand.Uint32()
	for i := range n {
		v, err := dial(s, fmt.Sprintf("bench-%08x-%05d", group, i), secure)
		if err == nil {
			c.visitors = append(c.visitors, v)
			err = v.arrive()
		}
		if err == nil && i == 0 {
			err = v.warm()
		}
		if err == nil && cert == nil {
			err = v.own()
		}
		if err != nil {
			c.leave()
			return nil, fmt.Errorf("visitor %d: %w", i, err)
		}
	}
	return c, nil
}

// own takes the connection's socket out of the runtime's hands, which would look at all that comes.
func (v *visitor) own() (err error) {
	tcp := v.conn.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { v.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	return tcp.Close()
}

// leave closes the connections, without leaving the ports behind in TIME_WAIT.
func (c *crowd) leave() {
	if c == nil {
		return
	}
	for _, v := range c.visitors {
		if v.fd >= 0 {
			_ = unix.SetsockoptLinger(v.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Close(v.fd)
			continue
		}
		conn := v.conn
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// idle are all visitors, to be taken in turn and put back: whoever has waited longest is first.
func (c *crowd) idle() chan *visitor {
	queue := make(chan *visitor, len(c.visitors))
	for _, v := range c.visitors {
		queue <- v
	}
	return queue
}

// refresh makes a request on every connection, if the servers might soon close some for being idle.
func (c *crowd) refresh() error {
	if time.Since(c.fresh) < time.Minute {
		return nil
	}
	c.fresh = time.Now()
	for _, v := range c.visitors {
		if err := v.once(); err != nil {
			return err
		}
	}
	return nil
}

// once is get for whoever's socket it is.
func (v *visitor) once() error {
	if v.fd < 0 {
		_, err := v.get(master, false)
		return err
	}
	if _, err := unix.Write(v.fd, v.ask(master, false, false)); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for !v.reply.done() {
		ready := []unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, int(patience.Milliseconds())); n == 0 || err != nil && err != unix.EINTR {
			return fmt.Errorf("%s: %s: no answer: %w", v.server.name, v.asked, err)
		}
		n, err := unix.Read(v.fd, buf)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return fmt.Errorf("%s: %s: the server has closed the connection: %w", v.server.name, v.asked, err)
		}
		if err := v.reply.feed(buf[:n]); err != nil {
			return err
		}
	}
	return v.check()
}
