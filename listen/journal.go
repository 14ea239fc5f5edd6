package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"earshot/session"
)

// Journal is the second copy, in files, of everything heard that the store does not hold yet: open slices as they
// grow, and events on their way. Slices are written whole each time, under the id of the event they
// will become, so reading is "the last one wins", and replaying one that reached the store after all changes nothing there.
//
// Only the Book's journal goroutine writes to the file; if the disk stalls, that goroutine waits and nobody else does.
// Writes reach the page cache, which outlives the process, not a power cut (ADR 6). A nil Journal does nothing.
type Journal struct {
	dir     string
	log     *slog.Logger
	metrics *Metrics

	mu    sync.Mutex
	notes frames // events to be written with the next flush

	// Owned by the journal goroutine.
	file     *os.File
	number   uint64
	size     int64
	baseline int64 // size after the last rotation
	refs     uint64
	out      frames
	failed   time.Time // of the last error; zero: all is well
	keep     bool      // older files hold what could not be saved
}

const (
	journalPrefix = "journal-"
	journalSuffix = ".log"
	journalGrow   = 16 << 20 // rotate when this much has been added to the baseline, or as much again
	journalRetry  = 5 * time.Second
)

// OpenJournal reads what an earlier process left in dir, and begins after it. The old files stay until the first
// rotation of the new journal, which holds whatever of them the store has not taken by then: see [Recovered].
func OpenJournal(dir string, log *slog.Logger, m *Metrics) (*Journal, *Recovered, error) {
	names, last, err := journalFiles(dir)
	if err != nil {
		return nil, nil, err
	}
	rec := &Recovered{slices: make(map[string]Event)}
	for _, name := range names {
		if err := rec.read(filepath.Join(dir, name)); err != nil {
			if !errors.Is(err, errTorn) {
				return nil, nil, fmt.Errorf("recover journal: %w", err)
			}
			log.Warn("journal ends early, as after a kill", "file", name, "err", err)
		}
	}
	return &Journal{dir: dir, log: log, metrics: m, number: last}, rec, nil
}

func journalFiles(dir string) (names []string, last uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, fmt.Errorf("journal: %w", err)
	}
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), journalPrefix)
		if !ok {
			continue
		}
		if middle, ok = strings.CutSuffix(middle, journalSuffix); !ok {
			continue
		}
		if n, err := strconv.ParseUint(middle, 16, 64); err == nil {
			names, last = append(names, e.Name()), max(last, n)
		}
	}
	slices.Sort(names)
	return names, last, nil
}

func (j *Journal) path(n uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%s%016x%s", journalPrefix, n, journalSuffix))
}

// note puts an event that no account holds into the next flush.
func (j *Journal) note(e Event) {
	if j == nil {
		return
	}
	j.mu.Lock()
	j.notes.event(&e)
	j.mu.Unlock()
}

// write puts the account into the next flush if it has changed since it was last written.
func (j *Journal) write(a *Account) {
	if j == nil || j.file == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unwritten {
		j.put(a)
	}
}

// put appends the account's frames. The caller holds a.mu.
func (j *Journal) put(a *Account) {
	if a.file != j.number {
		j.refs++
		a.file, a.ref = j.number, j.refs
		start := j.out.begin(frameWho)
		j.out.uint(a.ref)
		j.out.int(a.startMS)
		j.out.who(a.who.Load())
		j.out.end(start)
	}
	for i := range a.meters {
		if m := &a.meters[i]; m.seq != 0 {
			e := a.event(m)
			start := j.out.begin(frameSlice)
			j.out.uint(a.ref)
			j.out.slice(&e)
			j.out.end(start)
		}
	}
	j.putCoverage(a)
	if a.reason != "" {
		start := j.out.begin(frameReason)
		j.out.uint(a.ref)
		j.out.text(string(a.reason))
		j.out.end(start)
	}
	a.unwritten = false
}

// journalIntervals is how much of an account's coverage is kept through a kill: what a player could fetch again.
const journalIntervals = 8

func (j *Journal) putCoverage(a *Account) {
	kept := a.covered.newest(journalIntervals)
	start := j.out.begin(frameCoverage)
	j.out.uint(a.ref)
	j.out.int(a.lastMS)
	j.out.uint(uint64(len(kept)))
	for _, i := range kept {
		j.out.uint(i.axis)
		j.out.int(i.from)
		j.out.int(i.to - i.from)
	}
	j.out.end(start)
}

// flush writes what has been put and noted to the file, and rotates when the file has grown.
func (j *Journal) flush(b *Book) {
	if j == nil {
		return
	}
	if j.file == nil || j.size > 2*j.baseline+journalGrow {
		if j.failed.IsZero() || b.now().Sub(j.failed) >= journalRetry {
			j.rotate(b)
		}
		if j.file == nil {
			j.dropNotes() // the recorder has them, and the next file begins with what it has
			return
		}
	}
	j.takeNotes()
	if len(j.out.buf) > 0 {
		j.save(b.now())
	}
}

func (j *Journal) takeNotes() {
	j.mu.Lock()
	j.out.buf = append(j.out.buf, j.notes.buf...)
	j.notes.buf = j.notes.buf[:0]
	j.mu.Unlock()
}

func (j *Journal) dropNotes() {
	j.mu.Lock()
	j.notes.buf = nil
	j.mu.Unlock()
}

// save writes the buffer out. A file that could not be written to whole is not written to again: what follows a torn
// frame could not be read.
func (j *Journal) save(now time.Time) {
	n, err := j.file.Write(j.out.buf)
	j.size += int64(n)
	j.out.buf = j.out.buf[:0]
	if err == nil {
		return
	}
	j.fail(now, err)
	j.file.Close()
	j.file = nil
}

func (j *Journal) fail(now time.Time, err error) {
	if j.failed.IsZero() {
		j.log.Error("the journal cannot be written: a kill would now lose what the store does not hold; free some disk space",
			"dir", j.dir, "err", err)
	}
	j.failed = now
	j.metrics.journalFailed()
}

// Healthy reports whether the journal could be written when it last had to be.
func (b *Book) Healthy() bool { return b.journalOK.Load() }

// rotate begins a new file with all that the store does not hold yet, and removes the older files.
func (j *Journal) rotate(b *Book) {
	if j == nil {
		return
	}
	err := j.begin(b)
	b.journalOK.Store(err == nil)
	if err != nil {
		j.fail(b.now(), err)
		return
	}
	if !j.failed.IsZero() {
		j.log.Info("the journal is written again", "dir", j.dir)
		j.failed = time.Time{}
	}
	if !j.keep {
		j.removeBefore(j.number)
	}
}

func (j *Journal) begin(b *Book) error {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
	j.number++
	file, err := os.OpenFile(j.path(j.number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	j.refs, j.out.buf = 0, j.out.buf[:0]
	size, err := j.snapshot(b, file)
	if err != nil {
		file.Close()
		os.Remove(j.path(j.number))
		return err
	}
	j.file, j.size, j.baseline = file, size, size
	return nil
}

// snapshot writes every account, then every event that left its account but is not saved: in this order an event is
// missed by neither.
func (j *Journal) snapshot(b *Book, file *os.File) (size int64, err error) {
	write := func(atLeast int) {
		if err != nil || len(j.out.buf) < atLeast {
			return
		}
		var n int
		n, err = file.Write(j.out.buf)
		size += int64(n)
		j.out.buf = j.out.buf[:0]
	}
	b.Each(func(a *Account) bool {
		a.mu.Lock()
		j.put(a)
		a.mu.Unlock()
		write(1 << 20)
		return err == nil
	})
	j.takeNotes()
	for _, e := range b.opt.Recorder.unsaved() {
		j.out.event(&e)
		write(1 << 20)
	}
	write(0)
	return size, err
}

func (j *Journal) removeBefore(n uint64) {
	names, _, err := journalFiles(j.dir)
	if err != nil {
		j.log.Warn("old journals are left", "err", err)
		return
	}
	for _, name := range names {
		if path := filepath.Join(j.dir, name); path < j.path(n) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				j.log.Warn("an old journal is left", "err", err)
			}
		}
	}
}

// Recovered is what a journal held: all that an earlier process heard and may not have stored.
type Recovered struct {
	Accounts []RecoveredAccount

	slices map[string]Event // by event id
	order  []string
}

// RecoveredAccount is a session that was being heard.
type RecoveredAccount struct {
	Who     Who
	StartMS int64
	LastMS  int64
	covered coverage
	reason  Reason
}

// Events are the slices and events to store, in the order in which they began.
func (r *Recovered) Events() []Event {
	events := make([]Event, 0, len(r.order))
	for _, id := range r.order {
		events = append(events, r.slices[id])
	}
	return events
}

func (r *Recovered) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	byRef := make(map[uint64]int)
	known := make(map[session.Key]int, len(r.Accounts))
	for i := range r.Accounts {
		known[r.Accounts[i].Who.Key] = i
	}
	_, err = readFrames(file, func(kind frameKind, p *payload) error {
		if kind == frameEvent {
			who := p.who()
			r.keep(p, who)
			return nil
		}
		ref := p.uint()
		if kind == frameWho {
			a := RecoveredAccount{StartMS: p.int(), Who: p.who()}
			i, ok := known[a.Who.Key]
			if !ok {
				i = len(r.Accounts)
				known[a.Who.Key] = i
				r.Accounts = append(r.Accounts, a)
			}
			if !p.bad {
				r.Accounts[i].Who = a.Who // it may have changed
			}
			byRef[ref] = i
			return nil
		}
		i, ok := byRef[ref]
		if !ok {
			return nil // of an account that it has not named
		}
		r.Accounts[i].take(kind, p, r)
		return nil
	})
	return err
}

func (a *RecoveredAccount) take(kind frameKind, p *payload, r *Recovered) {
	switch kind {
	case frameSlice:
		r.keep(p, a.Who)
	case frameReason:
		a.reason = Reason(p.text())
	case frameCoverage:
		a.LastMS = max(a.LastMS, p.int())
		a.covered = a.covered[:0]
		for n := p.uint(); n > 0 && !p.bad; n-- {
			axis, from, length := p.uint(), p.int(), p.int()
			a.covered.add(interval{axis, from, from + length, a.LastMS})
		}
	}
}

func (r *Recovered) keep(p *payload, who Who) {
	e := p.slice()
	if p.bad {
		return
	}
	e.Who = who
	if _, ok := r.slices[e.ID]; !ok {
		r.order = append(r.order, e.ID)
	}
	r.slices[e.ID] = e
}
