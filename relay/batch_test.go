package relay

import (
	"io"
	"net"
	"testing"
)

// keeper fails, and keeps what it was given, as an HTTP/2 server may when the stream is reset under a Write.
type keeper struct {
	net.Conn
	fails bool
	kept  []byte
}

func (k *keeper) Write(p []byte) (int, error) {
	if !k.fails {
		return len(p), nil
	}
	k.kept = p
	return 0, io.ErrClosedPipe
}

// TestFailedWriteKeepsBuffer: what a failed Write was given is never written to again.
func TestFailedWriteKeepsBuffer(t *testing.T) {
	send := func(c net.Conn, a, b string) error {
		out := batches.Get().(*batch)
		defer out.release()
		out.add([]byte(a))
		out.add([]byte(b))
		_, err := out.write(c)
		return err
	}
	first := &keeper{fails: true}
	if err := send(first, "fir", "st"); err == nil {
		t.Fatal("no error")
	}
	for range 20 {
		if err := send(&keeper{}, "oth", "er"); err != nil {
			t.Fatal(err)
		}
	}
	if string(first.kept) != "first" {
		t.Errorf("the server would send %q", first.kept)
	}
}
