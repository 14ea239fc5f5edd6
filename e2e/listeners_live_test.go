package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shakeHands opens a TLS connection of its own and says whose certificate it was shown.
func shakeHands(t testing.TB, d door) (*tls.Conn, string) {
	t.Helper()
	c, err := tls.Dial("tcp", d.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// askOn fetches a segment over a connection and leaves it open.
func askOn(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := fmt.Fprint(c, "GET /vod/0.ts HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(vodSizes[0]) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestListenersCertificate: a new certificate is served soon after it has been put in place; a broken one never; connections that are
// there go on all the while; and the metrics say when it expires.
func TestListenersCertificate(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t))
	old, name := shakeHands(t, d.sealed)
	if name != "first.example" {
		t.Fatalf("shown %s", name)
	}
	askOn(t, old) // or it would be closed for want of a request
	is := func(want string) func() error {
		return func() error {
			if _, name := shakeHands(t, d.sealed); name != want {
				return fmt.Errorf("shown %s", name)
			}
			return nil
		}
	}
	writePair(t, "second.example", d.cert, d.key)
	eventually(t, 15*time.Second, "the second certificate", is("second.example"))
	expires := d.value(t, "earshot_certificate_expiry_timestamp_seconds", fmt.Sprintf("file=%q", d.cert))
	if in := time.Until(time.Unix(int64(expires), 0)); in < 23*time.Hour || in > 25*time.Hour {
		t.Errorf("expires in %v, the metrics say", in)
	}

	if err := os.WriteFile(d.cert, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 25*time.Second, "the broken one is told of", func() error {
		if strings.Count(d.proc.output(t), "cannot be used") != 2 { // two listeners share it
			return errors.New("it is not")
		}
		return nil
	})
	if err := is("second.example")(); err != nil {
		t.Errorf("after a broken one: %v", err)
	}
	askOn(t, old)
	writePair(t, "third.example", d.cert, d.key)
	eventually(t, 15*time.Second, "the third certificate", is("third.example"))
}

// TestListenersDrain: the edge ends in order though one connection is in a handshake that goes no further and HTTP/2 connections are idle;
// a body on its way over HTTP/2 comes whole.
func TestListenersDrain(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t))
	for _, at := range []door{d.sealed, d.sealedProxied, d.plainProxied} {
		silent, err := net.Dial("tcp", at.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	idle := d.sealed.visit(t, "idle", 2, 0, "")
	idle.read(t, "/vod/0.ts", nil)
	v := d.sealed.visit(t, "draining", 2, 0, "")
	res := v.ask(t, "/vod/long.ts", nil)
	if _, err := io.ReadFull(res.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	asked := lived()
	d.proc.signal(syscall.SIGTERM)
	time.Sleep(time.Second)
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || n != longBody-1<<20 {
		t.Errorf("the rest: %d bytes, %v", n, err)
	}
	d.stopped(t)
	took := lived() - asked
	t.Logf("it took %v to end", took.Round(100*time.Millisecond))
	if said := d.proc.output(t); strings.Contains(said, "cut off") || took > 9*time.Second {
		t.Errorf("after %v:\n%s", took, said)
	}
	if n, _ := d.booked(t, "draining"); n != longBody {
		t.Errorf("the books say %d bytes, not %d", n, longBody)
	}
}

// stopped waits until the edge has ended.
func (d *doors) stopped(t testing.TB) {
	t.Helper()
	if err := d.proc.wait(t, 30*time.Second); err != nil {
		t.Errorf("the edge: %v", err)
	}
}

// TestListenersSlow: who says nothing, or goes on with his handshake or his request for ever, is closed; who reads 4 KB/s over HTTP/2 is
// served for as long.
func TestListenersSlow(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t))
	honest := d.sealed.visit(t, "honest", 2, 0, "").ask(t, "/vod/long.ts", nil)
	late := make(chan error, 8)
	dawdlers := 0
	dawdle := func(at door, drip string, encrypted bool) {
		dawdlers++
		go func() { late <- dripInto(at, drip, encrypted) }()
	}
	dawdle(d.plain, "X: y\r\n", false)
	dawdle(d.sealed, "\x16", false)      // a byte of a handshake, again and again
	dawdle(d.sealed, "X: y\r\n", true)   // a request without an end
	dawdle(d.plainProxied, "P", false)   // no header
	dawdle(d.sealedProxied, "\r", false) // no header
	began := time.Now()
	for b := make([]byte, 4<<10); dawdlers > 0; {
		if _, err := io.ReadFull(honest.Body, b); err != nil {
			t.Fatalf("an honest listener is cut after %v: %v", time.Since(began), err)
		}
		select {
		case err := <-late:
			if dawdlers--; err != nil {
				t.Error(err)
			}
		case <-time.After(time.Second):
		}
	}
	t.Logf("the last was closed after %v", time.Since(began).Round(time.Second))
}

// dripInto sends something every half second until it is closed.
func dripInto(at door, drip string, encrypted bool) error {
	c, err := net.Dial("tcp", at.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if encrypted {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, c) // until it is closed
		close(gone)
	}()
	if drip == "X: y\r\n" {
		drip = "GET /vod/0.ts HTTP/1.1\r\n" + drip
	}
	for end := time.After(25 * time.Second); ; {
		_, _ = io.WriteString(c, drip) // fails when it is closed, which is noticed below
		if _, rest, ok := strings.Cut(drip, "1.1\r\n"); ok {
			drip = rest
		}
		select {
		case <-gone:
			return nil
		case <-end:
			return fmt.Errorf("a connection that sends %q at %v is open after 25 s", drip, at)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// TestListenersStranger: a proxy that is not trusted says what it likes; its own address counts. What follows its header is served.
func TestListenersStranger(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "10.0.0.0/8", startVOD(t))
	for i, at := range []door{d.plainProxied, d.sealedProxied} {
		agent := fmt.Sprintf("stranger-%d", i)
		v := at.visit(t, agent, 1, 2, "203.0.113.5")
		v.read(t, "/vod/0.ts", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.6") })
		eventually(t, 15*time.Second, agent, func() error {
			if n, from := d.booked(t, agent); n != int64(vodSizes[0]) || from != "127.0.0.1" {
				return fmt.Errorf("%d bytes at %s", n, from)
			}
			return nil
		})
	}
}

// TestListenersLeave: a listener who leaves a radio stream over HTTP/2 and keeps the connection has left; another stream on it plays on.
func TestListenersLeave(t *testing.T) {
	t.Parallel()
	d := startDoors(t, "127.0.0.0/8", startVOD(t)+icyStream("radio", "/radio.mp3", startTransmitter(t, 200).url()))
	v := d.sealed.visit(t, "both", 2, 0, "")
	as := func(agent string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("User-Agent", agent) }
	}
	goes, stays := v.ask(t, "/radio.mp3", as("goes")), v.ask(t, "/radio.mp3", as("stays"))
	for _, res := range []*http.Response{goes, stays} {
		if _, err := io.ReadFull(res.Body, make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	goes.Body.Close()
	eventually(t, 15*time.Second, "one listener", func() error {
		if n := d.value(t, "earshot_relay_listeners", `stream="radio"`); n != 1 {
			return fmt.Errorf("%v listeners", n)
		}
		return nil
	})
	if _, err := io.ReadFull(stays.Body, make([]byte, 32<<10)); err != nil {
		t.Errorf("the other: %v", err)
	}
	eventually(t, 15*time.Second, "the books", func() error {
		if n, _ := d.booked(t, "goes"); n < 32<<10 || n > 256<<10 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
}
