package listen_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"earshot/listen"
)

// plainBook is a book that only counts.
func plainBook() *listen.Book { return listen.NewBook(listen.Options{Edge: "edge"}, "1") }

// everything is media of a second per byte.
func everything() listen.Placer { return listen.NewLive(1, 0) }

// TestWriter sends the same bytes by Write, by ReadFrom a stream and by sendfile through a real server: the client has them all, and
// all are counted.
func TestWriter(t *testing.T) {
	body := make([]byte, 5<<20+123)
	rand.Read(body)
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(w *listen.Writer) (int64, error){
		"Write": func(w *listen.Writer) (int64, error) { n, err := w.Write(body); return int64(n), err },
		"ReadFrom a stream": func(w *listen.Writer) (int64, error) {
			return w.ReadFrom(io.MultiReader(bytes.NewReader(body[:1000]), bytes.NewReader(body[1000:])))
		},
		"sendfile": func(w *listen.Writer) (int64, error) {
			f, err := os.Open(path)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			return w.ReadFrom(f)
		},
	}
	for name, send := range ways {
		t.Run(name, func(t *testing.T) {
			account := plainBook().Account(who("a"))
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				transfer := account.Open(listen.Body{Stream: "s", Length: int64(len(body)), Placer: everything()})
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				n, err := send(listen.NewWriter(w, transfer))
				if err != nil || n != int64(len(body)) {
					t.Errorf("sent %d: %v", n, err)
				}
				transfer.Finish(false)
			})
			got := fetch(t, handler)
			if !bytes.Equal(got, body) {
				t.Errorf("%d bytes came, not those sent", len(got))
			}
			if s := account.Snapshot(); s.Bytes != int64(len(body)) || s.Transfers != 0 {
				t.Errorf("counted %d, %d transfers left", s.Bytes, s.Transfers)
			}
		})
	}
}

func fetch(t *testing.T, h http.Handler) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	done := make(chan bool)
	go func() { server.Serve(l); close(done) }()
	defer func() { server.Shutdown(t.Context()); <-done }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestUnsent: a client that reads little of a large body and leaves is charged for what its kernel took, not for what the edge's
// kernel still held.
func TestUnsent(t *testing.T) {
	for _, how := range []string{"reset", "close"} {
		t.Run(how, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			client.(*net.TCPConn).SetReadBuffer(4096)
			served, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			tcp := served.(*net.TCPConn)
			tcp.SetWriteBuffer(1 << 20)
			raw, err := tcp.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			socket := listen.NewSocket(raw)
			account := plainBook().Account(who("a"))
			transfer := account.Open(listen.Body{Stream: "s", Length: 1 << 30, Placer: everything(), Unsent: socket.Unsent})
			tcp.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			w := listen.NewWriter(tcp, transfer)
			for err == nil {
				_, err = w.Write(make([]byte, 64<<10))
			}
			if !socket.PeerThere() {
				t.Error("the peer is there")
			}
			if how == "reset" {
				client.(*net.TCPConn).SetLinger(0)
			}
			client.Close()
			for deadline := time.Now().Add(5 * time.Second); socket.PeerThere() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			if socket.PeerThere() {
				t.Error("the peer has gone")
			}
			transfer.Finish(true)
			tcp.Close()
			if n := socket.Unsent(); n == 0 {
				t.Error("asked after the end, the socket has forgotten what it held")
			}
			counted, written := account.Snapshot().Bytes, transfer.Written()
			t.Logf("the client's kernel was sent %d bytes", counted)
			if counted <= 0 || counted > 256<<10 || counted != written {
				t.Errorf("counted %d; the client's buffer holds a few kB", counted)
			}
		})
	}
}

// keeper fails, and keeps what it was given, as an HTTP/2 server may when the stream is reset under a Write.
type keeper struct{ kept []byte }

func (k *keeper) Write(p []byte) (int, error) {
	k.kept = p
	return 0, io.ErrClosedPipe
}

// TestFailedWriteKeepsBuffer: what a failed Write was given is never written to again.
func TestFailedWriteKeepsBuffer(t *testing.T) {
	account := plainBook().Account(who("a"))
	send := func(to io.Writer, what string) error {
		transfer := account.Open(listen.Body{Stream: "s", Length: -1, Placer: everything()})
		defer transfer.Finish(true)
		_, err := listen.NewWriter(to, transfer).ReadFrom(strings.NewReader(what))
		return err
	}
	var first keeper
	if err := send(&first, "first"); !errors.Is(err, listen.ErrWrite) {
		t.Fatal(err)
	}
	for range 20 {
		if err := send(io.Discard, "other"); err != nil {
			t.Fatal(err)
		}
	}
	if string(first.kept) != "first" {
		t.Errorf("the server would send %q", first.kept)
	}
}
