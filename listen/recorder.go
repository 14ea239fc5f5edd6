package listen

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder takes events without ever blocking and commits them to the store in groups, off the data path. While the
// store fails it writes them to the spill file, and stores them from there when it answers again. When the disk is
// gone too it holds what it has and takes no more: slices then stay open and grow, and nothing is lost.
type Recorder struct {
	// Set at construction.
	store   Store
	spill   *Spill
	log     *slog.Logger
	metrics *Metrics
	wake    chan struct{} // holds one: there is something in the queue

	mu    sync.Mutex
	queue []Event
	batch []Event // the events now being stored

	failing atomic.Bool // the store failed last time
	tried   time.Time   // owned by Run: when it was asked last
}

const (
	maxQueue      = 1 << 16 // events waiting; at some 400 bytes each
	maxBatch      = 4096
	commitEvery   = 200 * time.Millisecond
	appendTimeout = 10 * time.Second
	retryEvery    = 2 * time.Second
	drainTimeout  = 15 * time.Second
)

// NewRecorder makes a Recorder. Run it.
func NewRecorder(store Store, spill *Spill, log *slog.Logger, m *Metrics) *Recorder {
	r := &Recorder{store: store, spill: spill, log: log, metrics: m, wake: make(chan struct{}, 1)}
	m.watchRecorder(r)
	return r
}

// Take queues an event, or refuses it when the queue is full.
func (r *Recorder) Take(e Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) >= maxQueue {
		return false
	}
	r.add(e)
	return true
}

// push queues an event whatever the queue holds.
func (r *Recorder) push(e Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(e)
	return true
}

func (r *Recorder) add(e Event) {
	r.queue = append(r.queue, e)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Queued is the number of events neither in the store nor in the spill file.
func (r *Recorder) Queued() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) + len(r.batch)
}

// unsaved copies the events neither in the store nor in the spill file.
func (r *Recorder) unsaved() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.batch, r.queue)
}

// Run commits events until ctx is done and the queue is empty. It returns an error that counts the events it could
// bring neither to the store nor to the spill file; the journal may still hold them.
func (r *Recorder) Run(ctx context.Context) error {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.drain()
		case <-r.wake:
			sleep(ctx, commitEvery) // let a group gather
			r.commitAll()
		case <-retry.C:
			r.commitAll()
			r.replay()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// commitAll brings the queue to the store, or to the spill file.
func (r *Recorder) commitAll() {
	for r.next() {
		if err := r.commit(r.batch); err != nil {
			r.putBack()
			return
		}
		r.done()
	}
}

func (r *Recorder) next() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.queue), maxBatch)
	r.batch = slices.Clone(r.queue[:n])
	r.queue = slices.Delete(r.queue, 0, n)
	return n > 0
}

func (r *Recorder) done() {
	r.mu.Lock()
	r.batch = nil
	r.mu.Unlock()
}

func (r *Recorder) putBack() {
	r.mu.Lock()
	r.queue = slices.Concat(r.batch, r.queue)
	r.batch = nil
	r.mu.Unlock()
}

// commit stores events, or spills them while the store fails.
func (r *Recorder) commit(events []Event) error {
	if !r.failing.Load() || time.Since(r.tried) >= retryEvery {
		if r.append(events) == nil {
			return nil
		}
	}
	if err := r.spill.Append(events); err != nil {
		r.metrics.spillFailed()
		return err
	}
	r.metrics.spilled(len(events))
	return nil
}

func (r *Recorder) append(events []Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	began := time.Now()
	defer func() { r.tried = time.Now() }()
	inserted, err := r.store.Append(ctx, events)
	if err != nil {
		r.metrics.storeFailed()
		if !r.failing.Load() {
			r.log.Error("events cannot be stored; they go to the spill file until they can", "err", err, "events", len(events))
		}
		r.failing.Store(true)
		return err
	}
	if r.failing.Load() {
		r.log.Info("events are stored again")
	}
	r.failing.Store(false)
	r.metrics.stored(inserted, len(events)-inserted, time.Since(began))
	return nil
}

// replay stores what the spill file holds.
func (r *Recorder) replay() {
	if r.spill.Empty() || r.failing.Load() && time.Since(r.tried) < retryEvery {
		return
	}
	if err := r.spill.Replay(maxBatch, r.append); err != nil {
		r.log.Debug("spilled events wait", "err", err)
	}
}

func (r *Recorder) drain() error {
	deadline := time.Now().Add(drainTimeout)
	for {
		r.commitAll()
		left := r.Queued()
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			r.metrics.lost(left)
			return fmt.Errorf("%d listen events could be neither stored nor spilled", left)
		}
		time.Sleep(retryEvery)
	}
}

// Failing reports whether the store refused the last events.
func (r *Recorder) Failing() bool { return r.failing.Load() }
