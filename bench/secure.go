//go:build linux

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// secureLoad is a goroutine for each request on its way, since crypto/tls waits for one connection at a time.
type secureLoad struct {
	*load
	idle  chan *visitor
	over  atomic.Bool
	count atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration
	err       error
}

func (l *load) runTLS() (*round, error) {
	s := &secureLoad{load: l, idle: l.crowd.idle()}
	var workers sync.WaitGroup
	for range min(l.inFlight, len(l.crowd.visitors)) {
		workers.Go(s.work)
	}
	m := &meter{server: l.crowd.server}
	time.Sleep(l.ramp)
	s.take()
	m.begin()
	time.Sleep(l.length)
	m.latencies = s.take()
	r, err := m.end()
	s.over.Store(true)
	workers.Wait()
	if s.err != nil {
		return nil, s.err
	}
	return r, err
}

// take takes what was measured so far.
func (s *secureLoad) take() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.latencies
	s.latencies = nil
	return taken
}

func (s *secureLoad) work() {
	buf := make([]byte, 64<<10)
	for !s.over.Load() {
		v := <-s.idle
		began := time.Now()
		err := s.one(v, buf)
		took := time.Since(began)
		s.mu.Lock()
		if s.latencies = append(s.latencies, took); err != nil {
			s.err = err
			s.over.Store(true)
		}
		s.mu.Unlock()
		s.idle <- v
	}
}

func (s *secureLoad) one(v *visitor, buf []byte) error {
	if err := v.conn.SetDeadline(time.Now().Add(silence)); err != nil {
		return err
	}
	request := v.ask(s.cell.kind, s.cell.gzip, s.count.Add(1)%sampleEvery == 0)
	if _, err := v.conn.Write(request); err != nil {
		return err
	}
	if err := v.receive(buf); err != nil {
		return err
	}
	return v.check()
}
