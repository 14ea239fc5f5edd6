package proxy

import (
	"io"
	"net/http"
)

// corked is an answer over plain HTTP/1 whose head leaves in one packet with the first of a body that the kernel sends: the server writes the
// head by itself, and each write would wake the other side.
type corked struct {
	http.ResponseWriter
	conn *conn
}

// cork is w for a body that goes over c; itself where there is nothing to gain.
func cork(w http.ResponseWriter, r *http.Request, c *conn) http.ResponseWriter {
	if _, ok := w.(io.ReaderFrom); !ok || c == nil || r.TLS != nil || r.ProtoMajor != 1 {
		return w
	}
	return corked{w, c}
}

// ReadFrom sends a piece. Whatever the server writes before it reaches the connection's own ReadFrom is followed by that at once.
func (k corked) ReadFrom(piece io.Reader) (int64, error) {
	_, sent := piece.(sendable)
	k.conn.more.Store(sent)
	defer func() {
		k.conn.more.Store(false)
		if k.conn.left.Load() { // the piece ended with what the server reads of it for itself: nothing followed
			k.conn.push()
		}
	}()
	return k.ResponseWriter.(io.ReaderFrom).ReadFrom(piece)
}

// Flush sends on what the server keeps back.
func (k corked) Flush() { k.ResponseWriter.(http.Flusher).Flush() }
