package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// receiver is an HLS player that keeps a ledger of what it read from its sockets. It belongs to one goroutine. Its user agent is its name in
// the edge's books.
type receiver struct {
	// Set at construction.
	agent, address string
	header         http.Header     // sent with every request
	query          string          // added to every URL
	bare           bool            // asks without what the edge has added to the URIs
	window         int             // SO_RCVBUF; 0: the kernel's choice
	edges          []string        // asked in turn
	studio         *studio         // what comes must be what the studio holds
	run            func() int      // of the edge; nil: there is only one
	pace           time.Duration   // after each read
	hurry          <-chan struct{} // when it is closed there is no pace any more; nil: never
	linger         time.Duration   // before it leaves in the middle of a body

	ledger
	turn  int
	wires map[string]*wire
	ids   map[string]bool // session ids that the edge wrote into URIs

	// Of a receiver that insists.
	polls     bool // opens a media playlist directly, and reloads it so
	complaint error
}

// wire is a connection to an edge.
type wire struct {
	*net.TCPConn
	r   *bufio.Reader
	run int // of the edge that it leads to
}

var (
	errLeft    = errors.New("the listener has left, as it meant to")
	errTorn    = errors.New("a body broke off")
	errStatus  = errors.New("the answer is not what was asked for")
	errForeign = errors.New("the bytes are not the origin's")
)

func (r *receiver) dial(host string) (*wire, error) {
	if w := r.wires[host]; w != nil {
		return w, nil
	}
	run := 0
	if r.run != nil {
		run = r.run()
	}
	c, err := dialWindow(host, r.window)
	if err != nil {
		return nil, err
	}
	if r.wires == nil {
		r.wires = make(map[string]*wire)
	}
	r.wires[host] = &wire{TCPConn: c, r: bufio.NewReaderSize(c, wireBuffer), run: run}
	return r.wires[host], nil
}

func (r *receiver) hangUp(host string) {
	if w := r.wires[host]; w != nil {
		w.Close()
		delete(r.wires, host)
	}
}

func (r *receiver) close() {
	for host := range r.wires {
		r.hangUp(host)
	}
}

// ask sends one request to the next edge and returns the head of the answer.
func (r *receiver) ask(method string, u *url.URL, ranges string) (res *http.Response, host string, err error) {
	host = strings.TrimPrefix(r.edges[r.turn%len(r.edges)], "http://")
	r.turn++
	defer func() {
		if err != nil {
			r.hangUp(host)
		}
	}()
	w, err := r.dial(host)
	if err != nil {
		return nil, host, err
	}
	req, err := http.NewRequest(method, r.target(u, host), nil)
	if err != nil {
		return nil, host, err
	}
	req.Header = r.header.Clone()
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header.Set("User-Agent", r.agent)
	req.Header.Set("X-Forwarded-For", r.address)
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	_ = w.SetDeadline(time.Now().Add(20 * time.Second)) // what follows fails if it cannot be set
	if err := req.Write(w); err != nil {
		return nil, host, err
	}
	res, err = http.ReadResponse(w.r, req)
	if err != nil {
		return nil, host, fmt.Errorf("%s %s: %w", method, u.Path, err)
	}
	return res, host, nil
}

// target is u at the host, as this receiver asks for it.
func (r *receiver) target(u *url.URL, host string) string {
	at := *u
	at.Host = host
	if r.bare {
		at.RawQuery = ""
	}
	if r.query != "" {
		at.RawQuery = strings.Trim(at.RawQuery+"&"+r.query, "&")
	}
	return at.String()
}

// load fetches and reads a playlist.
func (r *receiver) load(u *url.URL) (*manifest, error) {
	res, host, err := r.ask(http.MethodGet, u, "")
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.hangUp(host)
		return nil, fmt.Errorf("%s: %s: %w: %.200s", u.Path, res.Status, errOrNone(err), text)
	}
	m, err := readManifest(res.Request.URL, string(text))
	if err != nil {
		return nil, err
	}
	for _, p := range m.segments {
		r.meet(p.url)
	}
	for _, v := range m.variants {
		r.meet(v)
	}
	return m, nil
}

func errOrNone(err error) error {
	if err == nil {
		return errStatus
	}
	return err
}

func (r *receiver) meet(u *url.URL) {
	if r.ids == nil {
		r.ids = make(map[string]bool)
	}
	r.ids[u.Query().Get("X-Playback-Session-Id")] = true
}

// fetch takes a piece: all of it, or the given range of its resource, or, if leaveAfter is not 0, what comes first, and then leaves.
func (r *receiver) fetch(p piece, ranges string, leaveAfter int64) error {
	if ranges == "" && p.offset >= 0 {
		ranges = fmt.Sprintf("bytes=%d-%d", p.offset, p.offset+p.length-1)
	}
	res, host, err := r.ask(http.MethodGet, p.url, ranges)
	if err != nil {
		return err
	}
	b, err := newBody(r, res, p)
	b.run = r.wires[host].run
	for err == nil {
		err = b.read(leaveAfter)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, errLeft):
		b.leave(r.wires[host])
	}
	r.hangUp(host)
	if errors.Is(err, errLeft) {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", errTorn, p.url.Path, err)
}

// body is an answer as it is read.
type body struct {
	r     *receiver
	res   *http.Response
	piece piece
	whole []byte // the resource as the studio has it
	at    int64  // in the resource
	got   int64
	run   int
	buf   []byte
}

func newBody(r *receiver, res *http.Response, p piece) (*body, error) {
	b := &body{r: r, res: res, piece: p, whole: r.studio.content(res.Request.URL.Path), buf: make([]byte, 16<<10)}
	if b.piece.offset < 0 {
		b.piece.offset, b.piece.length = 0, int64(len(b.whole))
	}
	switch from, ok := strings.CutPrefix(res.Header.Get("Content-Range"), "bytes "); {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusPartialContent && ok:
		from, _, _ = strings.Cut(from, "-")
		at, err := strconv.ParseInt(from, 10, 64)
		b.at = at
		return b, err
	default:
		return b, fmt.Errorf("%w: %s", errStatus, res.Status)
	}
	return b, nil
}

// read reads some more and enters it in the ledger.
func (b *body) read(leaveAfter int64) error {
	if leaveAfter > 0 && b.got >= leaveAfter {
		return errLeft
	}
	n, err := b.res.Body.Read(b.buf)
	if n > 0 {
		if b.at+int64(n) > int64(len(b.whole)) || !bytes.Equal(b.buf[:n], b.whole[b.at:b.at+int64(n)]) {
			return fmt.Errorf("%w, from %d on", errForeign, b.at)
		}
		b.r.ledger.read = append(b.r.ledger.read, b.receipt(int64(n)))
		b.at, b.got = b.at+int64(n), b.got+int64(n)
		select {
		case <-b.r.hurry:
		default:
			time.Sleep(b.r.pace)
		}
	}
	return err
}

// receipt is for the next n bytes.
func (b *body) receipt(n int64) receipt {
	share := func(at int64) float64 {
		at = min(max(at-b.piece.offset, 0), b.piece.length)
		return float64(at) / float64(b.piece.length)
	}
	return receipt{at: time.Now(), run: b.run, bytes: n, moment: b.piece.moment, seconds: b.piece.seconds,
		from: share(b.at), to: share(b.at + n)}
}

// leave enters what the kernels may hold as what may have been counted. The receiver lingers, so that they come to hold all they can.
func (b *body) leave(w *wire) {
	time.Sleep(b.r.linger)
	held := min(int64(windowOf(w.TCPConn)+wireBuffer+edgeBuffer), int64(len(b.whole))-b.at)
	b.r.ledger.held = append(b.r.ledger.held, b.receipt(held))
}
