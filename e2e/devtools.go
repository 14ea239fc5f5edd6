package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// devtools speaks the Chrome DevTools protocol over the two pipes of --remote-debugging-pipe: JSON messages, each ended
// by a NUL. It is all of a browser's driver that the tests need.
type devtools struct {
	w       io.Writer
	session string // of the page; empty until one is attached. Set before a second goroutine calls

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	noises  []string // what the page complained of
	gone    error    // why there will be no more replies
}

type reply struct {
	result json.RawMessage
	err    error
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

var errBrowserGone = errors.New("the browser has closed its pipe")

func newDevtools(r io.Reader, w io.Writer) *devtools {
	d := &devtools{w: w, waiting: make(map[int]chan reply)}
	go d.read(bufio.NewReaderSize(r, 1<<16))
	return d
}

// read runs until the browser closes its end.
func (d *devtools) read(r *bufio.Reader) {
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			d.close()
			return
		}
		var m struct {
			message
			Params json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			d.noise(fmt.Sprintf("not JSON: %q", text))
			continue
		}
		switch {
		case m.ID != 0:
			d.answer(m.message)
		case m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded":
			d.noise(string(m.Params))
		}
	}
}

func (d *devtools) answer(m message) {
	r := reply{result: m.Result}
	if m.Error != nil {
		r.err = errors.New(m.Error.Message)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.waiting[m.ID]; c != nil {
		c <- r
		delete(d.waiting, m.ID)
	}
}

func (d *devtools) noise(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noises = append(d.noises, text)
}

func (d *devtools) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = errBrowserGone
	for id, c := range d.waiting {
		c <- reply{err: errBrowserGone}
		delete(d.waiting, id)
	}
}

// complaints returns uncaught exceptions and what the browser itself logged about the page: failed loads, CORS, policy.
func (d *devtools) complaints() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.noises...)
}

// call sends a command and decodes its result into result, if that is not nil.
func (d *devtools) call(method string, params, result any) error {
	c := make(chan reply, 1)
	if err := d.send(method, params, c); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r := <-c:
		if r.err != nil {
			return fmt.Errorf("%s: %w", method, r.err)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(r.result, result)
	case <-time.After(60 * time.Second):
		return fmt.Errorf("%s: no answer", method)
	}
}

func (d *devtools) send(method string, params any, c chan reply) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone != nil {
		return d.gone
	}
	d.last++
	text, err := json.Marshal(message{ID: d.last, SessionID: d.session, Method: method, Params: params})
	if err != nil {
		return err
	}
	d.waiting[d.last] = c
	_, err = d.w.Write(append(text, 0))
	return err
}
