package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// toldWithin is how long a listener who is turned away may take to hear it.
const toldWithin = 5 * time.Second

// turnAway answers with a problem on a connection that was taken over already, and closes it: the last place was given away meanwhile.
// It returns the problem, which is then as good as answered.
func (p *Proxy) turnAway(w *answer, r *http.Request, nc net.Conn, why error) error {
	defer nc.Close()
	var problem *Problem
	if !errors.As(why, &problem) {
		return why
	}
	said := &writing{header: http.Header{"Server": p.server, "Date": {time.Now().UTC().Format(http.TimeFormat)}, "Connection": {"close"}}}
	cors(said.header)
	problem.write(said, false)
	w.status, w.sent = problem.Status, int64(said.body.Len())
	nc.SetWriteDeadline(time.Now().Add(toldWithin))
	_, _ = nc.Write(said.wire(r)) // fails when the listener has gone: nobody is left to tell
	return why
}

// writing is an answer that is written to a connection by hand.
type writing struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *writing) Header() http.Header         { return w.header }
func (w *writing) WriteHeader(status int)      { w.status = status }
func (w *writing) Write(b []byte) (int, error) { return w.body.Write(b) }

// wire is the answer in the version of HTTP that the request has.
func (w *writing) wire(r *http.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.%d %d %s\r\n", min(r.ProtoMinor, 1), w.status, http.StatusText(w.status))
	_ = w.header.Write(&b) // a Buffer takes all
	b.WriteString("\r\n")
	b.Write(w.body.Bytes())
	return b.Bytes()
}
