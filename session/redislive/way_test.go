package redislive

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// way is a long way to a server: what goes over it arrives later.
type way struct {
	door   net.Listener
	to     atomic.Pointer[string]
	delay  atomic.Int64 // ns, either way
	asking atomic.Int64 // connections on which an answer is waited for
	most   atomic.Int64 // of them at once
	all    sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// newWay makes one that leads nowhere yet. It ends with the test.
func newWay(t testing.TB) *way {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{door: door}
	w.all.Go(func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			if w.keep(c) {
				w.all.Go(func() { w.carry(c) })
			}
		}
	})
	t.Cleanup(func() {
		door.Close()
		w.mu.Lock()
		w.closed = true
		for _, c := range w.conns {
			c.Close()
		}
		w.mu.Unlock()
		w.all.Wait()
	})
	return w
}

func (w *way) addr() string       { return w.door.Addr().String() }
func (w *way) port() int          { return w.door.Addr().(*net.TCPAddr).Port }
func (w *way) leadTo(addr string) { w.to.Store(&addr) }

// keep has a connection be closed with the way.
func (w *way) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		c.Close()
		return false
	}
	w.conns = append(w.conns, c)
	return true
}

func (w *way) carry(near net.Conn) {
	defer near.Close()
	to := w.to.Load()
	if to == nil {
		return
	}
	time.Sleep(2 * time.Duration(w.delay.Load())) // the handshake
	far, err := net.Dial("tcp", *to)
	if err != nil || !w.keep(far) {
		return
	}
	var waits atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		w.pass(far, near, func() {
			if waits.CompareAndSwap(false, true) {
				n := w.asking.Add(1)
				for was := w.most.Load(); n > was && !w.most.CompareAndSwap(was, n); was = w.most.Load() {
				}
			}
		})
	})
	both.Go(func() {
		w.pass(near, far, func() {
			if waits.CompareAndSwap(true, false) {
				w.asking.Add(-1)
			}
		})
	})
	both.Wait()
}

type parcel struct {
	due  time.Time
	data []byte
}

// pass carries one direction. arrives is called as something does at the other end.
func (w *way) pass(to, from net.Conn, arrives func()) {
	parcels := make(chan parcel, 1000)
	var sending sync.WaitGroup
	sending.Go(func() {
		defer to.Close()
		for p := range parcels {
			time.Sleep(time.Until(p.due))
			arrives()
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		for range parcels {
		}
	})
	defer sending.Wait()
	defer close(parcels)
	for {
		b := make([]byte, 64<<10)
		n, err := from.Read(b)
		if n > 0 {
			parcels <- parcel{time.Now().Add(time.Duration(w.delay.Load())), b[:n]}
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			return
		}
	}
}
