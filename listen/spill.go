package listen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Spill is the file that holds events while the store does not take them. It is appended to whole batches at a time, read from
// its beginning, and removed when all it held is stored. It outlives the process.
type Spill struct {
	path string

	size atomic.Int64 // bytes of whole frames; 0 while there is no file

	mu   sync.Mutex
	file *os.File // nil while there is no file
}

// OpenSpill finds what an earlier process left at path. A torn end is cut off.
func OpenSpill(path string) (*Spill, error) {
	s := &Spill{path: path}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spill file: %w", err)
	}
	good, err := readFrames(file, func(_ frameKind, p *payload) error { return nil })
	if err != nil && !errors.Is(err, errTorn) {
		return nil, fmt.Errorf("spill file: %w", err)
	}
	s.file = file
	s.size.Store(good)
	return s, nil
}

// Append adds events. After an error the file is as it was.
func (s *Spill) Append(events []Event) error {
	var out frames
	for i := range events {
		out.event(&events[i])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		file, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o640)
		if err != nil {
			return fmt.Errorf("spill events: %w", err)
		}
		s.file = file
	}
	if _, err := s.file.WriteAt(out.buf, s.size.Load()); err != nil {
		return fmt.Errorf("spill events: %w", err)
	}
	s.size.Add(int64(len(out.buf)))
	return nil
}

// Empty reports whether nothing waits.
func (s *Spill) Empty() bool { return s.size.Load() == 0 }

// Size is the number of bytes that wait.
func (s *Spill) Size() int64 { return s.size.Load() }

// Replay hands all events to store, at most batch at a time, and removes the file when store has taken them all.
// After an error everything stays: an event stored twice is counted once.
func (s *Spill) Replay(batch int, store func([]Event) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	var events []Event
	_, err := readFrames(io.NewSectionReader(s.file, 0, s.size.Load()), func(kind frameKind, p *payload) error {
		if kind != frameEvent {
			return nil
		}
		who := p.who()
		e := p.slice()
		if e.Who = who; p.bad {
			return nil
		}
		if events = append(events, e); len(events) < batch {
			return nil
		}
		err := store(events)
		events = events[:0]
		return err
	})
	if err == nil && len(events) > 0 {
		err = store(events)
	}
	if err != nil {
		return fmt.Errorf("replay spilled events: %w", err)
	}
	return s.remove()
}

func (s *Spill) remove() error {
	err := errors.Join(s.file.Close(), os.Remove(s.path))
	s.file = nil
	s.size.Store(0)
	return err
}
