package proxy

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// AccessLog writes a line per ICY request to a file, in Icecast's form, which its operators' tools read:
//
//	address - user [time] "request line" status bytes "referer" "agent" seconds
//
// One goroutine writes. Who has a line to add never waits: lines beyond the queue are dropped and counted, as are those that the
// file does not take.
type AccessLog struct {
	// Set at construction.
	path     string
	log      *slog.Logger
	metrics  *Metrics
	patience time.Duration // with a file that does not take what is left at the end
	again    chan struct{} // asks for the file to be opened again
	done     chan struct{} // closed when all is written

	mu     sync.Mutex
	queue  chan []byte // closed by Close
	closed bool

	// Owned by run.
	file   *os.File
	buf    []byte
	torn   bool // the file ends in the middle of a line
	warned bool // that it cannot be written, since it last could
}

const (
	maxQueued = 4096     // lines
	maxBuffer = 64 << 10 // bytes that are written at once

	// What a line holds of each field, in bytes; Icecast's own buffers are of that order.
	maxLogPath  = 1024
	maxLogField = 512

	closeWithin = 5 * time.Second
)

// OpenAccessLog opens the file, or makes it. Close the log.
func OpenAccessLog(path string, log *slog.Logger, metrics *Metrics) (*AccessLog, error) {
	file, err := openLog(path)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &AccessLog{path: path, log: log, metrics: metrics, patience: closeWithin, file: file, again: make(chan struct{}, 1),
		done: make(chan struct{}), queue: make(chan []byte, maxQueued)}
	go l.run()
	return l, nil
}

// openLog opens the file, or makes it. A pipe that nobody reads is an error: without O_NONBLOCK it would be waited for.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}

// Reopen has the file opened again by its name, which by now may be another file's. It does not wait for that.
func (l *AccessLog) Reopen() {
	select {
	case l.again <- struct{}{}:
	default: // it is asked for already
	}
}

// Close writes what was added before, unless the file takes nothing for long: the end of the program does not wait for that. What is added
// later is dropped.
func (l *AccessLog) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-time.After(l.patience):
		l.log.Warn("the access log does not take its last lines; they are lost", "path", l.path)
	}
}

func (l *AccessLog) add(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		select {
		case l.queue <- line:
			return
		default:
		}
	}
	l.metrics.accessLogDropped(1)
}

func (l *AccessLog) run() {
	defer close(l.done)
	defer func() { l.file.Close() }()
	for {
		select {
		case line, ok := <-l.queue:
			if !ok {
				l.flush()
				return
			}
			l.buf = append(l.buf, line...)
			if len(l.queue) == 0 || len(l.buf) >= maxBuffer {
				l.flush()
			}
		case <-l.again:
			l.reopen()
		}
	}
}

func (l *AccessLog) reopen() {
	l.flush()
	file, err := openLog(l.path)
	if err != nil {
		l.log.Warn("the access log cannot be opened again; the file before it is written on", "err", err)
		return
	}
	l.file.Close()
	l.file, l.torn = file, false
	l.log.Info("the access log was opened again", "path", l.path)
}

// flush writes the buffer. A line that was not written whole is lost, and the next one begins on a line of its own.
func (l *AccessLog) flush() {
	if len(l.buf) == 0 {
		return
	}
	n, err := l.mend()
	if err == nil {
		n, err = l.file.Write(l.buf)
	}
	if err != nil {
		l.metrics.accessLogDropped(bytes.Count(l.buf[n:], []byte("\n")))
	}
	if n > 0 {
		l.torn = l.buf[n-1] != '\n'
	}
	if err != nil && !l.warned {
		l.log.Warn("the access log cannot be written; lines are dropped and counted", "err", err)
	}
	l.warned = err != nil
	l.buf = l.buf[:0]
	if cap(l.buf) > 2*maxBuffer {
		l.buf = nil
	}
}

// mend ends a line that was not written whole.
func (l *AccessLog) mend() (none int, err error) {
	if l.torn {
		_, err = l.file.Write([]byte("\n"))
		l.torn = err != nil
	}
	return 0, err
}

// visit is a request that is to have a line. Its texts are copies: a listener stays for hours, and must not keep the whole head of his
// request.
type visit struct {
	log     *AccessLog
	address string // and user
	request string
	agent   string // and referer, before it
}

// visit notes a request that is to have a line; nil if there is no log.
func (p *Proxy) visit(r *http.Request) *visit {
	if p.opt.AccessLog == nil {
		return nil
	}
	address := p.opt.IP.Apply(p.opt.Trusted.address(r))
	path, _, _ := strings.Cut(r.RequestURI, "?") // as Icecast: a query may hold a token
	if r.URL.User != nil {
		path = r.URL.Scheme + "://" + r.URL.Host + r.URL.EscapedPath() // and this a password
	}
	line := logText(r.Method, 32) + " " + logText(path, maxLogPath) + " " + logText(r.Proto, 16)
	return &visit{log: p.opt.AccessLog, address: orDash(address) + " - - ", request: `"` + line + `" `,
		agent: ` "` + orDash(logText(r.Referer(), maxLogField)) + `" "` + orDash(logText(r.UserAgent(), maxLogField)) + `" `}
}

// over writes the line of a visit that is over, after so long, with so many bytes of the body sent.
func (v *visit) over(status int, sent int64, took time.Duration) {
	if v == nil {
		return
	}
	b := make([]byte, 0, len(v.address)+len(v.request)+len(v.agent)+64)
	b = append(b, v.address...)
	b = time.Now().AppendFormat(b, "[02/Jan/2006:15:04:05 -0700] ") // local, as Icecast's
	b = append(b, v.request...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, sent, 10)
	b = append(b, v.agent...)
	b = strconv.AppendInt(b, int64(took/time.Second), 10)
	v.log.add(append(b, '\n'))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// logText is what a client wrote, as a field of a line: with a point, as Icecast has it, for each byte that could end the field or the
// line, or that a terminal might act on.
func logText(s string, most int) string {
	out := []byte(s[:min(len(s), most)])
	for i, c := range out {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			out[i] = '.'
		}
	}
	return string(out)
}
