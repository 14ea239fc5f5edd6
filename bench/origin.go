package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"time"
)

// originCommand makes this program the origin; it is for the program itself.
const originCommand = "serve-origin"

// serveOrigin serves content on a free port, says on out where, and ends when in does: with the process that started it.
func serveOrigin(out io.Writer, in io.Reader) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(answerOrigin), ReadHeaderTimeout: time.Minute}
	go func() {
		io.Copy(io.Discard, in)
		server.Close()
	}()
	fmt.Fprintln(out, l.Addr())
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// answerOrigin lets caches keep everything for an hour: how fresh a playlist must be is the edge's own affair.
func answerOrigin(w http.ResponseWriter, r *http.Request) {
	body, ok := content()[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := fnv.New64a()
	sum.Write(body[:min(len(body), 4096)])
	h := w.Header()
	h.Set("Content-Type", contentType(r.URL.Path))
	h.Set("Cache-Control", "max-age=3600")
	h.Set("ETag", fmt.Sprintf(`"%x-%x"`, len(body), sum.Sum64()))
	http.ServeContent(w, r, "", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), bytes.NewReader(body))
}
