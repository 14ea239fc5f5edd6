package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// keeper fails, and keeps what it was given, as an HTTP/2 server may when the stream is reset under a Write.
type keeper struct {
	http.ResponseWriter
	kept []byte
}

func (k *keeper) Write(p []byte) (int, error) {
	k.kept = p
	return 0, io.ErrClosedPipe
}

// TestFailedWriteKeepsText: what a failed Write was given, packed or not, is never written to again.
func TestFailedWriteKeepsText(t *testing.T) {
	for _, coding := range []string{"", "gzip"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", coding)
		send := func(to http.ResponseWriter, what string) {
			w := &answer{ResponseWriter: to}
			text := texts.Get().(*[]byte)
			defer putText(w, text)
			*text = append((*text)[:0], strings.Repeat(what, 4000)...)
			if err := writeText(w, r, *text); err != nil {
				t.Fatal(err)
			}
		}
		first := &keeper{ResponseWriter: httptest.NewRecorder()}
		send(first, "first")
		want := string(first.kept)
		for range 20 {
			send(httptest.NewRecorder(), "other")
		}
		if string(first.kept) != want {
			t.Errorf("%q: the server would send what is another's", coding)
		}
	}
}
