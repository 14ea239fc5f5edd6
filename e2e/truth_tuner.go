package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tuner is an ICY listener that keeps a ledger. It belongs to one goroutine.
type tuner struct {
	// Set at construction.
	agent, address string
	id             string // X-Playback-Session-Id; may be empty
	metadata       bool
	protocol       string // HTTP/1.0 or, if empty, HTTP/1.1
	window         int    // SO_RCVBUF; 0: the kernel's choice
	run            func() int

	ledger
	conn    *net.TCPConn
	body    *bufio.Reader
	metaint int // 0 without metadata
	left    int // audio bytes until the next block
	frames  frameCounter
	now     int // run
	titles  map[string]bool

	complaint error // of a tuner that insists
}

// tune connects and reads the head of the answer.
func (u *tuner) tune(edge, path string) error {
	var err error
	if u.conn, err = dialWindow(strings.TrimPrefix(edge, "http://"), u.window); err != nil {
		return err
	}
	if u.run != nil {
		u.now = u.run()
	}
	if err := u.greet(path); err != nil {
		u.conn.Close()
		return err
	}
	return nil
}

func (u *tuner) greet(path string) error {
	protocol := u.protocol
	if protocol == "" {
		protocol = "HTTP/1.1"
	}
	request := fmt.Sprintf("GET %s %s\r\nHost: edge\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n", path, protocol, u.agent, u.address)
	if u.id != "" {
		request += "X-Playback-Session-Id: " + u.id + "\r\n"
	}
	if u.metadata {
		request += "Icy-MetaData: 1\r\n"
	}
	_ = u.conn.SetDeadline(time.Now().Add(60 * time.Second)) // what follows fails if it cannot be set
	if _, err := io.WriteString(u.conn, request+"\r\n"); err != nil {
		return err
	}
	u.body = bufio.NewReaderSize(u.conn, wireBuffer)
	head := textproto.NewReader(u.body)
	status, err := head.ReadLine()
	if err != nil {
		return err
	}
	fields, err := head.ReadMIMEHeader()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.") || !strings.Contains(status, " 200 ") {
		return fmt.Errorf("%w: %s", errStatus, status)
	}
	u.frames, u.metaint = frameCounter{}, 0
	return u.split(http.Header(fields).Get("Icy-Metaint"))
}

// split prepares to take metadata out.
func (u *tuner) split(interval string) error {
	if !u.metadata {
		if interval != "" {
			return fmt.Errorf("%w: metadata that nobody asked for", errStatus)
		}
		return nil
	}
	var err error
	if u.metaint, err = strconv.Atoi(interval); err != nil {
		return fmt.Errorf("icy-metaint: %w", err)
	}
	u.left = u.metaint
	return nil
}

// audio enters bytes of audio: those that made a frame whole, as that.
func (u *tuner) audio(b []byte) error {
	numbers, err := u.frames.add(b)
	u.count(len(b))
	for _, n := range numbers {
		u.ledger.read = append(u.ledger.read, receipt{at: time.Now(), run: u.now, moment: n + 1, seconds: frameSeconds, to: 1})
	}
	return err
}

func (u *tuner) count(n int) {
	u.ledger.read = append(u.ledger.read, receipt{at: time.Now(), run: u.now, bytes: int64(n)})
}

// hear reads until the edge ends it, or until enough says so.
func (u *tuner) hear(enough func() bool) error {
	if u.metaint > 0 {
		return u.hearTitles(enough)
	}
	b := make([]byte, 512) // little, so that the time of each is known well
	for !enough() {
		n, err := u.body.Read(b)
		if err := u.audio(b[:n]); err != nil {
			return err
		}
		if err != nil {
			return ended(err)
		}
	}
	return errLeft
}

// hearTitles reads metadata too. It does not use icyReader, which drops what comes before an early end.
func (u *tuner) hearTitles(enough func() bool) error {
	b := make([]byte, 512) // little, so that the time of each is known well
	for !enough() {
		if u.left == 0 {
			if err := u.block(); err != nil {
				return ended(err)
			}
			u.left = u.metaint
		}
		n, err := u.body.Read(b[:min(u.left, len(b))])
		if err := u.audio(b[:n]); err != nil {
			return err
		}
		if u.left -= n; err != nil {
			return ended(err)
		}
	}
	return errLeft
}

func (u *tuner) block() error {
	size, err := u.body.ReadByte()
	if err != nil {
		return err
	}
	u.count(1)
	block := make([]byte, 16*int(size))
	n, err := io.ReadFull(u.body, block)
	u.count(n)
	if text := strings.TrimRight(string(block[:n]), "\x00"); text != "" {
		if u.titles == nil {
			u.titles = make(map[string]bool)
		}
		u.titles[text] = true
	}
	return err
}

// ended is nil for the ways in which an edge that stops, or is killed, ends a stream.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// part says goodbye and takes what still comes.
func (u *tuner) part() error {
	if err := u.conn.CloseWrite(); err != nil {
		return err
	}
	defer u.conn.Close()
	return u.hear(func() bool { return false })
}

// vanish leaves with what its kernel holds.
func (u *tuner) vanish() error {
	window := windowOf(u.conn)
	held := int64(window + wireBuffer)
	u.held = append(u.held, receipt{bytes: held, moment: -1, seconds: float64(held) / byteRate, to: 1})
	return u.conn.Close()
}
