package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// audience is many listeners of one mount, who count what they hear and when.
type audience struct {
	seats []*seat
	done  sync.WaitGroup
}

// seat is one of them. Its goroutine writes, others read.
type seat struct {
	conn    *net.TCPConn
	bytes   atomic.Int64
	heard   atomic.Int64 // ns since 1970: when the last byte came
	gap     atomic.Int64 // ns: the longest without a byte
	returns atomic.Int64 // ns since 1970: when the first byte came after mark was set
	mark    atomic.Int64 // ns since 1970
	ended   atomic.Bool  // by the server
}

// seatAudience has n listeners join, and waits until all hear audio.
func seatAudience(t testing.TB, edge, path string, n int) *audience {
	t.Helper()
	a := &audience{seats: make([]*seat, n)}
	t.Cleanup(a.leave)
	var failed atomic.Pointer[error]
	var joining sync.WaitGroup
	slots := make(chan struct{}, 50) // that join at once
	for i := range a.seats {
		joining.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s, body, err := takeSeat(edge, path, fmt.Sprintf("198.51.%d.%d", 100+i/250, 1+i%250))
			if err != nil {
				failed.Store(&err)
				return
			}
			a.seats[i] = s
			a.done.Go(func() { s.listen(body) })
		})
	}
	joining.Wait()
	if err := failed.Load(); err != nil {
		t.Fatalf("a listener cannot join: %v", *err)
	}
	eventually(t, 20*time.Second, "all hear", func() error {
		return a.each(func(s *seat) error {
			if s.bytes.Load() == 0 {
				return errors.New("one hears nothing")
			}
			return nil
		})
	})
	return a
}

func takeSeat(edge, path, address string) (*seat, io.Reader, error) {
	c, err := dialWindow(strings.TrimPrefix(edge, "http://"), 0)
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // what follows fails if it cannot be set
	fmt.Fprintf(c, "GET %s HTTP/1.0\r\nUser-Agent: audience\r\nX-Forwarded-For: %s\r\n\r\n", path, address)
	r := bufio.NewReaderSize(c, wireBuffer)
	head := textproto.NewReader(r)
	status, err := head.ReadLine()
	if err == nil {
		_, err = head.ReadMIMEHeader()
	}
	if err == nil && !strings.Contains(status, " 200 ") {
		err = fmt.Errorf("%w: %s", errStatus, status)
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return &seat{conn: c}, r, c.SetDeadline(time.Time{})
}

func (s *seat) listen(r io.Reader) {
	b := make([]byte, 4<<10)
	s.heard.Store(time.Now().UnixNano())
	for {
		n, err := r.Read(b)
		if err != nil {
			s.ended.Store(!errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded))
			return
		}
		now := time.Now().UnixNano()
		s.gap.Store(max(s.gap.Load(), now-s.heard.Load()))
		s.heard.Store(now)
		s.bytes.Add(int64(n))
		if mark := s.mark.Load(); mark > 0 && s.returns.Load() == 0 {
			s.returns.Store(now)
		}
	}
}

// each calls f for everybody, up to an error.
func (a *audience) each(f func(*seat) error) error {
	for _, s := range a.seats {
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

// staying is how many the server has not ended.
func (a *audience) staying() (n int) {
	for _, s := range a.seats {
		if !s.ended.Load() {
			n++
		}
	}
	return n
}

// resume begins to wait for the next byte of each, and returns when they came: the middle one and the last.
func (a *audience) resume(t testing.TB, limit time.Duration) (middle, last time.Duration) {
	t.Helper()
	began := time.Now()
	for _, s := range a.seats {
		s.mark.Store(began.UnixNano())
	}
	eventually(t, limit, "all hear again", func() error {
		return a.each(func(s *seat) error {
			if s.returns.Load() == 0 {
				return fmt.Errorf("one does not; %d of %d are still there", a.staying(), len(a.seats))
			}
			return nil
		})
	})
	var waits []time.Duration
	for _, s := range a.seats {
		waits = append(waits, time.Duration(s.returns.Load()-began.UnixNano()))
	}
	slices.Sort(waits)
	return waits[len(waits)/2], waits[len(waits)-1]
}

// silent waits until nobody has heard anything for d.
func (a *audience) silent(t testing.TB, limit, d time.Duration) {
	t.Helper()
	eventually(t, limit, "nobody hears anything", func() error {
		return a.each(func(s *seat) error {
			if quiet := time.Since(time.Unix(0, s.heard.Load())); quiet < d {
				return fmt.Errorf("one has just heard something, %v ago", quiet)
			}
			return nil
		})
	})
}

func (a *audience) longestGap() (longest time.Duration) {
	for _, s := range a.seats {
		longest = max(longest, time.Duration(s.gap.Load()))
	}
	return longest
}

func (a *audience) leave() {
	for _, s := range a.seats {
		if s != nil {
			s.conn.Close()
		}
	}
	a.done.Wait()
}
