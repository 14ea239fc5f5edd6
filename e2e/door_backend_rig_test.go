package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// doorBackend answers for listeners, in either dialect of auth.callback. It can be shut and opened again at its address.
type doorBackend struct {
	addr   string
	answer func(w http.ResponseWriter, q asking) // of those who would begin; nil: yes

	mu     sync.Mutex
	asked  []asking
	server *http.Server
}

// asking is what the backend was asked or told: the form of Icecast's dialect, or the members of the JSON.
type asking struct {
	at     time.Time
	form   url.Values
	fields map[string]any
}

// kind is what is asked: Icecast's action, or JSON's request_type.
func (q asking) kind() string {
	if q.form != nil {
		return q.form.Get("action")
	}
	return fmt.Sprint(q.fields["request_type"])
}

// session is whom it is about.
func (q asking) session() string {
	if q.form != nil {
		return q.form.Get("client")
	}
	return fmt.Sprint(q.fields["session_id"])
}

func startDoorBackend(t testing.TB, answer func(w http.ResponseWriter, q asking)) *doorBackend {
	t.Helper()
	b := &doorBackend{addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), answer: answer}
	b.open(t)
	t.Cleanup(b.shut)
	return b
}

func (b *doorBackend) url() string { return "http://" + b.addr + "/listeners" }

func (b *doorBackend) open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: b}
	b.mu.Lock()
	b.server = s
	b.mu.Unlock()
	go func() { _ = s.Serve(l) }() // ends when it is shut
}

// shut: nobody answers at its address.
func (b *doorBackend) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.server.Close()
}

func (b *doorBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := asking{at: time.Now()}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil && r.Header.Get("Content-Type") == "application/json" {
		err = json.Unmarshal(body, &q.fields)
	} else if err == nil {
		q.form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.asked = append(b.asked, q)
	b.mu.Unlock()
	switch k := q.kind(); {
	case b.answer != nil && k != "listener_remove" && k != "close_session":
		b.answer(w, q)
	default:
		w.Header().Set("icecast-auth-user", "1")
	}
}

// heard is what it was asked and told of that kind.
func (b *doorBackend) heard(kind string) (all []asking) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.asked {
		if q.kind() == kind {
			all = append(all, q)
		}
	}
	return all
}

// waitHeard waits until it was told so of the session, and returns what it was told.
func (b *doorBackend) waitHeard(t testing.TB, limit time.Duration, kind, session string) (found asking) {
	t.Helper()
	eventually(t, limit, "the backend hears "+kind+" of "+session, func() error {
		all := b.heard(kind)
		for _, q := range all {
			if q.session() == session {
				found = q
				return nil
			}
		}
		return fmt.Errorf("it has heard of %d others", len(all))
	})
	return found
}
