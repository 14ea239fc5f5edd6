package blob

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func noise(n int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// sockets are the two ends of a connection; the writing one holds little.
func sockets(t *testing.T) (from, to *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	from, to = b.(*net.TCPConn), a.(*net.TCPConn)
	_ = from.SetWriteBuffer(16 << 10)
	_ = to.SetReadBuffer(16 << 10)
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, to
}

// filled is a blob of every kind with this body.
func filled(t *testing.T, r *Room, kind string, body []byte) *Blob {
	t.Helper()
	b := r.Memory(int64(len(body)))
	switch kind {
	case "unknown":
		b.Release()
		b = r.Memory(-1)
	case "disk":
		b.Release()
		var err error
		if b, err = r.Disk(); err != nil {
			t.Fatal(err)
		}
	}
	for from := 0; from < len(body); from += 10_000 {
		piece := body[from:min(len(body), from+10_000)]
		if n, err := b.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	return b
}

var kinds = []string{"memory", "unknown", "disk"}

// TestSendTo: many slow readers of one blob have, each on his own socket, the part that is his, byte for byte, and all of it is counted.
func TestSendTo(t *testing.T) {
	t.Parallel()
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	body := noise(700_000, 1)
	for _, kind := range kinds {
		b := filled(t, r, kind, body)
		var work sync.WaitGroup
		for i := range 8 {
			from, to := int64(i*50_001), int64(len(body)-i*10_007)
			out, in := sockets(t)
			b.Hold()
			work.Go(func() {
				defer b.Release()
				defer out.Close()
				raw, err := out.SyscallConn()
				if err != nil {
					t.Error(err)
					return
				}
				p := &Piece{Blob: b, From: from, To: to}
				if n, ok, err := p.SendTo(raw); n != to-from || !ok || err != nil || p.From != to {
					t.Errorf("%s: sent %d of %d, %v, %v", kind, n, to-from, ok, err)
				}
			})
			work.Go(func() {
				var got bytes.Buffer
				buf := make([]byte, 20_000)
				for {
					n, err := in.Read(buf)
					got.Write(buf[:n])
					if err != nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if !bytes.Equal(got.Bytes(), body[from:to]) {
					t.Errorf("%s: %d bytes came, not those", kind, got.Len())
				}
			})
		}
		b.Release()
		work.Wait()
	}
	if n := r.Files(); n != 0 {
		t.Errorf("%d files are open", n)
	}
}

// TestSendToNobody: a reader who leaves, or takes nothing until his time is up, ends the sending, and what was sent is counted.
func TestSendToNobody(t *testing.T) {
	t.Parallel()
	r := InMemory()
	b := filled(t, r, "memory", noise(8<<20, 1))
	defer b.Release()
	for name, leave := range map[string]func(out, in *net.TCPConn){
		"leaves":   func(_, in *net.TCPConn) { time.AfterFunc(20*time.Millisecond, func() { in.Close() }) },
		"deadline": func(out, _ *net.TCPConn) { _ = out.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) },
		"closed":   func(out, _ *net.TCPConn) { time.AfterFunc(20*time.Millisecond, func() { out.Close() }) },
	} {
		out, in := sockets(t)
		raw, err := out.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		leave(out, in)
		n, ok, err := (&Piece{Blob: b, To: b.Size()}).SendTo(raw)
		if !ok || err == nil || n <= 0 || n >= b.Size() {
			t.Errorf("%s: %d, %v, %v", name, n, ok, err)
		}
	}
}

// TestHeap: what is small is plain memory and no file; the kernel is not asked to send it.
func TestHeap(t *testing.T) {
	t.Parallel()
	r := InMemory()
	body := noise(Small, 2)
	b := filled(t, r, "memory", body)
	if !bytes.Equal(b.Bytes(10, Small), body[10:]) || r.Files() != 0 {
		t.Errorf("%d files", r.Files())
	}
	for _, part := range [][2]int64{{0, Small + 1}, {-1, 5}, {5, 5}, {6, 5}} {
		if b.Bytes(part[0], part[1]) != nil {
			t.Errorf("%v is there", part)
		}
	}
	if n, ok, err := (&Piece{Blob: b, To: Small}).SendTo(nil); n != 0 || ok || err != nil {
		t.Error(n, ok, err)
	}
	b.Release()
}

// TestGrowth: readers read what has been written while a blob grows from the heap into a file.
func TestGrowth(t *testing.T) {
	t.Parallel()
	for range 20 {
		r := InMemory()
		body := noise(4*Small, 3)
		b := r.Memory(-1)
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for at := int64(0); at < int64(len(body)); {
					to := b.Size()
					if to == at {
						continue
					}
					if p := b.Bytes(at, to); p != nil && !bytes.Equal(p, body[at:to]) {
						t.Error("other bytes, from memory")
					}
					p := make([]byte, to-at)
					if n, err := b.ReadAt(p, at); n != len(p) || err != nil || !bytes.Equal(p, body[at:to]) {
						t.Errorf("%d of %d, %v", n, len(p), err)
						return
					}
					at = to
				}
			})
		}
		for from := 0; from < len(body); from += 1000 {
			if _, err := b.Write(body[from:min(len(body), from+1000)]); err != nil {
				t.Fatal(err)
			}
		}
		work.Wait()
		if _, err := b.ReadAt(make([]byte, 1), b.Size()); err != io.EOF {
			t.Error(err)
		}
		b.Release()
		if r.Files() != 0 {
			t.Error("a file is open")
		}
	}
}

// TestDrop: what is given back is gone, and what follows is not.
func TestDrop(t *testing.T) {
	t.Parallel()
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	body := noise(1<<20, 4)
	for _, kind := range kinds {
		b := filled(t, r, kind, body)
		if !b.Drop(0) || !b.Drop(500_000) || !b.Drop(500_000) {
			t.Errorf("%s: it cannot", kind)
		}
		rest := make([]byte, len(body)-500_000)
		if _, err := b.ReadAt(rest, 500_000); err != nil || !bytes.Equal(rest, body[500_000:]) {
			t.Errorf("%s: %v", kind, err)
		}
		b.Release()
	}
	small := filled(t, r, "memory", body[:100])
	defer small.Release()
	if small.Drop(50) {
		t.Error("plain memory gives nothing back")
	}
}

// TestNameless: a body on disk has no name from the beginning on, and what an earlier process left goes; other files stay.
func TestNameless(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a[b", "c*")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"body-123.tmp", "other.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := filled(t, r, "disk", noise(100_000, 1))
	defer b.Release()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "other.tmp" {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := InMemory().Disk(); !errors.Is(err, ErrNoDisk) {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "other.tmp")); err == nil {
		t.Error("a file is no directory")
	}
}

// TestFiles: the files open at a time are bounded; beyond, memory is plain and the disk is refused. What is released can be had again.
func TestFiles(t *testing.T) {
	t.Parallel()
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r.most = 3
	body := noise(3*Small, 1)
	var all []*Blob
	for range 6 {
		all = append(all, filled(t, r, "unknown", body))
	}
	if r.Files() != 3 {
		t.Errorf("%d files", r.Files())
	}
	if _, err := r.Disk(); !errors.Is(err, ErrFiles) {
		t.Error(err)
	}
	freed := 0
	for _, b := range all {
		b.OnFree(func() { freed++ })
		got := make([]byte, len(body))
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, body) {
			t.Error(err)
		}
		b.Hold()
		b.Release()
		if freed != 0 || b.Held() {
			t.Fatal("it is gone")
		}
	}
	for _, b := range all {
		b.Release()
	}
	if freed != 6 || r.Files() != 0 {
		t.Errorf("%d freed, %d files", freed, r.Files())
	}
	b, err := r.Disk()
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
}
