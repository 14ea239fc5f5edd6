package blob

import (
	"cmp"
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inMemory is a file in memory.
func inMemory() (*os.File, error) {
	fd, err := unix.MemfdCreate("earshot-body", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "earshot-body"), nil
}

// punch gives back the pages before off.
func punch(f *os.File, off int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, off)
	})
	return errors.Join(err, failed)
}

// maxFiles leaves most of the file descriptors to connections.
func maxFiles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 128
	}
	return int64(min(limit.Cur/4, 64<<10))
}

// What is asked of one call, in bytes. The kernel copies nothing, and from memory waits for nothing: the call is then made without telling Go's
// scheduler, which would take a call of more than 20 µs for one that blocks, and move everybody else to another thread. It is short, so that it keeps
// nobody waiting. A file on disk may have to be read.
const (
	sendMemory = 256 << 10
	sendDisk   = 1 << 20
)

func (b *Blob) sendfile(out, in int, off *int64, n int64) (int, error) {
	if b.onDisk {
		return unix.Sendfile(out, in, off, int(min(n, sendDisk)))
	}
	sent, _, errno := syscall.RawSyscall6(syscall.SYS_SENDFILE, uintptr(out), uintptr(in), uintptr(unsafe.Pointer(off)), uintptr(min(n, sendMemory)), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(sent), nil
}

// SendTo lets the kernel send the piece to a socket. ok is false where it cannot, and nothing was sent then. The blob's own position is not
// used, so that any number of sockets may be sent from it.
func (p *Piece) SendTo(socket syscall.RawConn) (sent int64, ok bool, err error) {
	p.Blob.mu.RLock()
	file := p.Blob.file
	p.Blob.mu.RUnlock()
	if file == nil {
		return 0, false, nil
	}
	from, err := file.SyscallConn()
	if err != nil {
		return 0, false, nil
	}
	var failed, waiting error
	gone := from.Control(func(in uintptr) {
		waiting = socket.Write(func(out uintptr) (done bool) {
			done, ok, failed = p.send(int(out), int(in), &sent)
			return done
		})
	})
	return sent, ok || sent > 0, cmp.Or(failed, waiting, gone)
}

func (p *Piece) send(out, in int, sent *int64) (done, ok bool, err error) {
	for p.From < p.To {
		off := p.From
		n, err := p.Blob.sendfile(out, in, &off, p.To-p.From)
		if n > 0 {
			p.From += int64(n)
			*sent += int64(n)
			if p.sent != nil {
				p.sent(int64(n))
			}
		}
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false, true, nil
		case err == unix.EINVAL || err == unix.ENOSYS:
			return true, false, nil // this pair of files cannot
		case err != nil:
			return true, true, os.NewSyscallError("sendfile", err)
		case n == 0:
			return true, true, os.NewSyscallError("sendfile", unix.EIO) // it holds less than was written
		}
	}
	return true, true, nil
}
