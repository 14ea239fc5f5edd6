package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// recording is one listener, and what he received to the byte. It belongs to one goroutine.
type recording struct {
	// Set at construction.
	agent    string
	address  string   // X-Forwarded-For; "": none
	header   []string // more lines of the request
	protocol string   // HTTP/1.0 or, if empty, HTTP/1.1
	method   string   // GET, if empty
	window   int      // SO_RCVBUF; 0: the kernel's choice
	forget   bool     // bytes are counted, not kept

	status string
	names  []string          // of the answer's header, as on the wire
	fields map[string]string // by those names
	conn   *net.TCPConn
	in     *bufio.Reader

	body     []byte // as it came
	received int64  // bytes of the body
	held     int64  // bytes that the edge may have sent besides, at most, when he hung up
	arrivals []arrival

	audio  []byte // once split: the body without its metadata
	blocks []said // and those of its blocks that hold anything
}

// arrival is when so many bytes of the body had come.
type arrival struct {
	at    time.Time
	total int64
}

// ask connects, and reads the head of the answer.
func (p *recording) ask(url string) error {
	rest, ok := strings.CutPrefix(url, "http://")
	if !ok {
		return fmt.Errorf("%s: no plain URL", url)
	}
	host, path, _ := strings.Cut(rest, "/")
	var err error
	if p.conn, err = dialWindow(host, p.window); err != nil {
		return err
	}
	if err := p.greet(host, "/"+path); err != nil {
		p.conn.Close()
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

func (p *recording) greet(host, path string) error {
	method, protocol := "GET", "HTTP/1.1"
	if p.method != "" {
		method = p.method
	}
	if p.protocol != "" {
		protocol = p.protocol
	}
	lines := []string{fmt.Sprintf("%s %s %s", method, path, protocol), "Host: " + host, "User-Agent: " + p.agent}
	if p.address != "" {
		lines = append(lines, "X-Forwarded-For: "+p.address)
	}
	lines = append(lines, p.header...)
	if err := p.conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(p.conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		return err
	}
	p.in = bufio.NewReaderSize(p.conn, wireBuffer)
	return p.readHead()
}

func (p *recording) readHead() error {
	p.fields, p.names = make(map[string]string), nil
	for n := 0; ; n++ {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the head breaks off: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return nil
		}
		if n == 0 {
			p.status = line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		p.names = append(p.names, name)
		p.fields[name] = strings.TrimSpace(value)
	}
}

// ok is whether the answer was audio to come.
func (p *recording) ok() error {
	if !strings.HasPrefix(p.status, "HTTP/1.") || !strings.Contains(p.status, " 200 ") {
		return fmt.Errorf("answered %q", p.status)
	}
	return nil
}

// errOver is that the server ended the stream.
var errOver = errors.New("the server ended the stream")

// hear takes what comes until a moment.
func (p *recording) hear(until time.Time) error {
	if err := p.conn.SetReadDeadline(until); err != nil {
		return err
	}
	b := make([]byte, 16<<10)
	for {
		n, err := p.in.Read(b)
		if n > 0 {
			p.take(b[:n])
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errOver
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errOver, err)
		}
	}
}

func (p *recording) take(b []byte) {
	p.received += int64(len(b))
	if !p.forget {
		p.body = append(p.body, b...)
		p.arrivals = append(p.arrivals, arrival{time.Now(), p.received})
	}
}

// part says goodbye and takes all that still comes: afterwards both sides know of the same bytes.
func (p *recording) part() error {
	defer p.conn.Close()
	if err := p.conn.CloseWrite(); err != nil {
		return err
	}
	if err := p.hear(time.Now().Add(10 * time.Second)); !errors.Is(err, errOver) {
		return fmt.Errorf("the server does not let go: %w", errOrNone(err))
	}
	return nil
}

// record asks, hears for so long, and leaves: with a goodbye if the server heeds one, which Icecast does not.
func (p *recording) record(url string, d time.Duration, leave func(*recording) error) error {
	if err := p.ask(url); err != nil {
		return err
	}
	if err := p.ok(); err != nil {
		p.conn.Close()
		return err
	}
	if err := p.hear(time.Now().Add(d)); err != nil {
		p.conn.Close()
		return err
	}
	return leave(p)
}

// hangUp leaves with what the kernel holds.
func (p *recording) hangUp() error {
	p.held = int64(windowOf(p.conn) + wireBuffer)
	return p.conn.Close()
}

// by is how many bytes had come at a moment.
func (p *recording) by(when time.Time) (total int64) {
	for _, a := range p.arrivals {
		if a.at.After(when) {
			break
		}
		total = a.total
	}
	return total
}

// said is a block of metadata, and how much audio came before it.
type said struct {
	text string
	at   int
}

// split takes the metadata out of the body.
func (p *recording) split() error {
	metaint, err := strconv.Atoi(p.fields["icy-metaint"])
	if err != nil || metaint <= 0 {
		return fmt.Errorf("icy-metaint is %q", p.fields["icy-metaint"])
	}
	p.audio, p.blocks = nil, nil
	for rest := p.body; ; {
		n := min(metaint, len(rest))
		p.audio, rest = append(p.audio, rest[:n]...), rest[n:]
		if len(rest) == 0 {
			return nil
		}
		length := 1 + 16*int(rest[0])
		if length > len(rest) {
			return nil // he left in the middle of it
		}
		if length > 1 {
			p.blocks = append(p.blocks, said{strings.TrimRight(string(rest[1:length]), "\x00"), len(p.audio)})
		}
		rest = rest[length:]
	}
}
