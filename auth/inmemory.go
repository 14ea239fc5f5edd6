package auth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// inMemory keeps removals where there is no store. They are gone with the process, and so open ones need not be kept.
type inMemory struct {
	mu  sync.Mutex
	all map[int64]Removal
}

var errFull = errors.New("too many removals wait in memory")

func (s *inMemory) AddRemovals(_ context.Context, all []Removal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all)+len(all) > maxRemovals {
		return errFull
	}
	if s.all == nil {
		s.all = make(map[int64]Removal)
	}
	for _, r := range all {
		if _, there := s.all[r.ID]; !there && !r.Open {
			s.all[r.ID] = r
		}
	}
	return nil
}

func (s *inMemory) OpenRemovals(context.Context, int64, int) ([]Removal, error) { return nil, nil }

func (s *inMemory) Heard(context.Context, string, string, time.Time, time.Time) (int64, time.Time, error) {
	return 0, time.Time{}, nil
}

func (s *inMemory) DueRemovals(_ context.Context, now time.Time, limit int) ([]Removal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []Removal
	for _, r := range s.all {
		if !r.Next.After(now) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b Removal) int { return cmp.Compare(a.ID, b.ID) })
	return due[:min(len(due), limit)], nil
}

func (s *inMemory) RetryRemoval(_ context.Context, id int64, tries int, next time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.all[id]; ok {
		r.Tries, r.Next = tries, next
		s.all[id] = r
	}
	return nil
}

func (s *inMemory) DropRemoval(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
	return nil
}
