// Package blob keeps bodies where the kernel can send them from (sendfile(2)) without their passing through the process: in memory
// that is a file (memfd_create(2)), off Go's heap, or in files that have no name, so that nothing of them outlives the process, however that
// ends. Small ones are plain memory: a copy of a few kilobytes costs less than a file.
//
// A Blob is written by one goroutine, from its beginning to its end, and read by any number of others up to where it has come; what tells them
// how far that is, and how much there may be of all blobs together, is the caller's business.
package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Small is the size, in bytes, up to which a blob is plain memory.
const Small = 32 << 10

// Room makes blobs.
type Room struct {
	dir   string // for files on disk; empty: there are none
	files atomic.Int64
	most  int64 // files open at a time
}

// InMemory is a Room without a disk.
func InMemory() *Room { return &Room{most: maxFiles()} }

// Open makes a Room whose files lie in dir, which is made if it is not there. What an earlier process may have left in it is removed.
func Open(dir string) (*Room, error) {
	r := &Room{dir: dir, most: maxFiles()}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("the cache's directory: %w", err)
	}
	left, err := os.ReadDir(dir) // not Glob: the directory's own name may hold its special characters
	if err != nil {
		return nil, fmt.Errorf("the cache's directory: %w", err)
	}
	for _, entry := range left { // made by a process that ended before it could take the name away
		if ours, _ := filepath.Match(pattern, entry.Name()); !ours {
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return nil, fmt.Errorf("the cache's directory: %w", err)
		}
	}
	return r, nil
}

// pattern names files for as long as it takes to remove their names.
const pattern = "body-*.tmp"

// ErrNoDisk is returned by a Room without a directory, ErrFiles by one that has as many files open as it may.
var (
	ErrNoDisk = errors.New("there is no directory for bodies")
	ErrFiles  = errors.New("too many files are open")
)

// Memory is a new blob in memory, of size bytes; −1 is unknown.
func (r *Room) Memory(size int64) *Blob {
	b := &Blob{room: r}
	b.refs.Store(1)
	if size > Small {
		b.spread()
	}
	if b.file == nil && size > 0 {
		b.heap = make([]byte, 0, size)
	}
	return b
}

// Disk is a new blob in a file without a name.
func (r *Room) Disk() (*Blob, error) {
	if r.dir == "" {
		return nil, ErrNoDisk
	}
	f, err := r.open(func() (*os.File, error) { return unnamed(r.dir) })
	if err != nil {
		return nil, err
	}
	b := &Blob{room: r, file: f, onDisk: true}
	b.refs.Store(1)
	return b, nil
}

// open bounds the files that are open at a time.
func (r *Room) open(make func() (*os.File, error)) (*os.File, error) {
	if r.files.Add(1) > r.most {
		r.files.Add(-1)
		return nil, ErrFiles
	}
	f, err := make()
	if err != nil {
		r.files.Add(-1)
		return nil, fmt.Errorf("a file for a body: %w", err)
	}
	return f, nil
}

// unnamed is a file in dir that is gone once it is closed.
func unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Blob is one body. It lives until as many have released it as hold it.
type Blob struct {
	room   *Room
	onDisk bool
	refs   atomic.Int32
	free   func() // told when it is gone; set before it is shared

	mu   sync.RWMutex // the writer moves a body that outgrows the heap
	heap []byte
	file *os.File
	head []byte // the first bytes of a file: a server looks at them before it has the kernel send the rest
	size int64
}

// headBytes is how much of a file is plain memory too.
const headBytes = 512

// OnFree names what is to be told when the last holder has released the blob. It is called before anybody else holds it.
func (b *Blob) OnFree(f func()) { b.free = f }

// Hold keeps the blob for one more holder, who releases it. Only who holds it may call it.
func (b *Blob) Hold() { b.refs.Add(1) }

// Held reports whether others hold it than the one who asks.
func (b *Blob) Held() bool { return b.refs.Load() > 1 }

// Release lets go of the blob.
func (b *Blob) Release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	if b.file != nil {
		b.file.Close()
		b.room.files.Add(-1)
	}
	if b.free != nil {
		b.free()
	}
}

// Size is how many bytes have been written.
func (b *Blob) Size() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.size
}

// Write appends to the blob.
func (b *Blob) Write(p []byte) (int, error) {
	if b.file == nil && len(b.heap)+len(p) > max(Small, cap(b.heap)) {
		b.spread()
	}
	if b.file == nil {
		b.mu.Lock()
		b.heap = append(b.heap, p...) // readers of the old array keep it
		b.size += int64(len(p))
		b.mu.Unlock()
		return len(p), nil
	}
	n, err := b.file.WriteAt(p, b.size)
	b.mu.Lock()
	if missing := headBytes - len(b.head); missing > 0 {
		b.head = append(b.head, p[:min(n, missing)]...)
	}
	b.size += int64(n)
	b.mu.Unlock()
	if err != nil {
		return n, fmt.Errorf("keep a body: %w", err)
	}
	return n, nil
}

// spread moves a blob from the heap into a file in memory, if there may be one more.
func (b *Blob) spread() {
	f, err := b.room.open(inMemory)
	if err != nil {
		return // the heap will do
	}
	if _, err := f.WriteAt(b.heap, 0); err != nil {
		f.Close()
		b.room.files.Add(-1)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.head, b.heap = f, append(make([]byte, 0, headBytes), b.heap[:min(len(b.heap), headBytes)]...), nil
}

// ReadAt reads what has been written (io.ReaderAt).
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
	b.mu.RLock()
	heap, head, file, size := b.heap, b.head, b.file, b.size
	b.mu.RUnlock()
	if off >= size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), size-off)]
	if file == nil {
		return copy(p, heap[off:]), nil
	}
	if off+int64(len(p)) <= int64(len(head)) {
		return copy(p, head[off:]), nil
	}
	n, err := file.ReadAt(p, off)
	if n == len(p) {
		err = nil
	}
	return n, err
}

// Bytes is the part [from, to) of the blob where that is plain memory, or else nil. It is not to be written to.
func (b *Blob) Bytes(from, to int64) []byte {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.file != nil || from < 0 || to > int64(len(b.heap)) || from >= to {
		return nil
	}
	return b.heap[from:to:to]
}

// Drop gives back the room of what lies before off: nobody will read it. It reports whether it could.
func (b *Blob) Drop(off int64) bool {
	return off == 0 || b.file != nil && punch(b.file, off) == nil
}

// Piece is the part [From, To) of a blob that has been written, for one reader. It is an io.Reader; where the kernel can take it from the
// blob to a socket by itself, SendTo does that.
type Piece struct {
	Blob     *Blob
	From, To int64

	sent func(n int64)
}

// Tell names who is to be told, as it goes, of every byte that SendTo has sent.
func (p *Piece) Tell(sent func(n int64)) { p.sent = sent }

func (p *Piece) Read(buf []byte) (int, error) {
	if p.From >= p.To {
		return 0, io.EOF
	}
	n, err := p.Blob.ReadAt(buf[:min(int64(len(buf)), p.To-p.From)], p.From)
	p.From += int64(n)
	return n, err
}

// Files is how many files are open.
func (r *Room) Files() int64 { return r.files.Load() }
