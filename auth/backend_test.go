package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// fakeBackend is a backend that answers as a test says, and writes down what it was asked.
type fakeBackend struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	answer http.HandlerFunc
}

func newFake(t *testing.T, answer http.HandlerFunc) *fakeBackend {
	f := &fakeBackend{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.asked = append(f.asked, string(b))
		h := f.answer
		f.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeBackend) says(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = h
}

func (f *fakeBackend) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// status answers with a status, headers in pairs, and a body that stands last.
func status(n int, more ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(more); i += 2 {
			w.Header().Set(more[i], more[i+1])
		}
		w.WriteHeader(n)
		if len(more)%2 == 1 {
			_, _ = io.WriteString(w, more[len(more)-1])
		}
	}
}

const jsonType = "application/json; charset=utf-8"

func TestJSONAnswers(t *testing.T) {
	f := newFake(t, nil)
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL, OnError: "deny"}})
	const failing = "it cannot be checked at the moment who you are"
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   Identity // Again: how many seconds from now
		again  int
		detail string
	}{
		"200":                     {status(200), Identity{}, 0, ""},
		"204":                     {status(204), Identity{}, 0, ""},
		"a page":                  {status(200, "Content-Type", "text/html", "{broken"), Identity{}, 0, ""},
		"headers":                 {status(200, "X-AuthDuration", "180", "X-UserId", "ann", "X-Max-Sessions", "2"), Identity{User: "ann", MaxSessions: 2}, 180, ""},
		"unique":                  {status(200, "X-Unique", "True", "X-Max-Sessions", "9"), Identity{MaxSessions: 1}, 0, ""},
		"not unique":              {status(200, "X-Unique", "0"), Identity{}, 0, ""},
		"429":                     {status(429, "Retry-After", "1"), Identity{}, 0, failing},
		"as Flussonic":            {status(200, "Content-Type", jsonType, `{"user_id":"ann","auth_duration":60,"max_sessions":2,"unique":false}`), Identity{User: "ann", MaxSessions: 2}, 60, ""},
		"as Flussonic, unique":    {status(200, "Content-Type", jsonType, `{"user_id":7,"max_sessions":2,"unique":true}`), Identity{User: "7", MaxSessions: 1}, 0, ""},
		"both names":              {status(200, "Content-Type", jsonType, `{"user_id":"ann","user":"bob","auth_duration":60,"duration":90}`), Identity{User: "bob"}, 90, ""},
		"user_id is a list":       {status(200, "Content-Type", jsonType, `{"user_id":["ann"]}`), Identity{}, 0, failing},
		"nonsense":                {status(200, "X-AuthDuration", "NaN", "X-Max-Sessions", "-1"), Identity{}, 0, ""},
		"body":                    {status(200, "Content-Type", jsonType, `{"user":7,"device":"d","device_type":"stb","duration":"60","max_sessions":3,"multi_stream":true,"more":[]}`), Identity{User: "7", Device: "d", DeviceType: "stb", MaxSessions: 3, Shared: true}, 60, ""},
		"header before body":      {status(200, "X-UserId", "bob", "Content-Type", jsonType, `{"user":"ann"}`), Identity{User: "bob"}, 0, ""},
		"no end":                  {status(200, "X-AuthDuration", "1e300"), Identity{}, maxSeconds, ""},
		"broken body":             {status(200, "Content-Type", jsonType, `{"user":`), Identity{}, 0, failing},
		"user is a list":          {status(200, "Content-Type", jsonType, `{"user":["ann"]}`), Identity{}, 0, failing},
		"user is long":            {status(200, "X-UserId", strings.Repeat("x", 257)), Identity{}, 0, failing},
		"huge body":               {status(200, strings.Repeat("x", 1<<20)), Identity{}, 0, failing},
		"huge header":             {status(200, "X", strings.Repeat("x", 100<<10)), Identity{}, 0, failing},
		"redirect":                {status(302, "Location", "/elsewhere"), Identity{}, 0, failing},
		"500":                     {status(500), Identity{}, 0, failing},
		"503":                     {status(503, "X-UserId", "ann"), Identity{}, 0, failing},
		"403":                     {status(403), Identity{}, 0, "you may not listen to this"},
		"404":                     {status(404, "Content-Type", "text/html", "<html>"), Identity{}, 0, "you may not listen to this"},
		"403 with text":           {status(403, "Content-Type", "text/plain", " Pay\r\nfirst\x00 "), Identity{}, 0, "Pay first"},
		"403 with JSON":           {status(403, "Content-Type", jsonType, `{"message":"Pay first"}`), Identity{}, 0, "Pay first"},
		"403 with a huge body":    {status(403, strings.Repeat("x", 1<<20)), Identity{}, 0, "you may not listen to this"},
		"403 with a long text":    {status(403, "Content-Type", "text/plain", strings.Repeat("x", 1000)), Identity{}, 0, strings.Repeat("x", maxMessage)},
		"401":                     {status(401), Identity{}, 0, "you may not listen to this"},
		"cut off in mid-answer":   {status(200, "Content-Length", "100", "x"), Identity{}, 0, failing},
		"closed without a word":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Identity{}, 0, failing},
		"broken body of a denial": {status(403, "Content-Type", jsonType, `{"message":`), Identity{}, 0, "you may not listen to this"},
	} {
		t.Run(name, func(t *testing.T) {
			f.says(test.answer)
			r := request("opaque")
			r.SessionID, r.Agent = name, name // a key of its own
			began := time.Now()
			id, err := a.Admit(t.Context(), r)
			if test.detail != "" {
				if no, _ := err.(*Refusal); no == nil || no.Code != NotAllowed || no.Detail != test.detail || (no.Cause != nil) != (test.detail == failing) {
					t.Errorf("%+v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again := id.Again.Sub(began); test.again == 0 != id.Again.IsZero() || test.again > 0 && (again-time.Duration(test.again)*time.Second).Abs() > 5*time.Second {
				t.Errorf("again in %v", again)
			}
			if test.want.Ticket, id.Again = name+"\nopaque", (time.Time{}); id != test.want {
				t.Errorf("%+v", id)
			}
		})
	}
}

func TestJSONQuestions(t *testing.T) {
	f := newFake(t, status(200, "X-AuthDuration", "60"))
	a := newAuth(t, Options{JWT: &JWT{Secret: secret}, Callback: &Callback{URL: f.URL}})
	if !a.Asked() || !a.Required() {
		t.Error("nobody is asked")
	}
	token := hs(t, jwt.MapClaims{"sub": "ann"})
	r := request(token)
	r.Number, r.StreamClients, r.TotalClients, r.Referer = 0, 3, 9, "http://radio.example/"
	id, err := a.Admit(t.Context(), r)
	if err != nil || id.User != "ann" || id.Ticket != "s-1\n"+token {
		t.Fatal(id, err)
	}
	r.Number, r.Authorization = 1, ""
	if id, err = a.Again(t.Context(), r, id); err != nil || id.User != "ann" || id.Ticket != "s-1\n"+token || id.Again.IsZero() {
		t.Fatal(id, err)
	}
	run(t, a)
	ended := time.Unix(1_800_000_000, 0)
	a.Removed(Removal{SessionID: "s-1", Group: "news", Kind: "hls", Path: r.Path, Host: r.Host, User: id.User, Ticket: id.Ticket, Address: "192.0.2.7", Agent: r.Agent,
		Duration: 90 * time.Second, Bytes: 1234, At: ended})
	eventually(t, "three questions", func() bool { return len(f.questions()) == 3 })
	common := `"name":"news","stream":"news","proto":"hls","ip":"192.0.2.7","agent":"VLC/3.0.18","token":"` + token + `","session_id":"s-1",`
	rest := `"user":"ann","host":"radio.example:8080","path":"/hls/news/a.m3u8"`
	for i, want := range []string{
		"{" + common + `"request_type":"new_session","request_number":0,"stream_clients":3,"total_clients":9,` + rest + `,"referer":"http://radio.example/"}`,
		"{" + common + `"request_type":"update_session","request_number":1,"stream_clients":3,"total_clients":9,` + rest + `,"referer":"http://radio.example/"}`,
		"{" + common + `"request_type":"close_session",` + rest + `,"duration":90,"bytes":1234,"time":1800000000}`,
	} {
		if got := f.questions()[i]; got != want {
			t.Errorf("%d: %s\nwant %s", i, got, want)
		}
	}
	// A bad token is not worth a question.
	if _, err := a.Admit(t.Context(), request(token+"x")); code(t, err) != TokenInvalid || len(f.questions()) != 3 {
		t.Error(err, len(f.questions()))
	}
}

// A listener without a token, or with a long one, is asked for and told of as any other; who is asked for again is never asked for without the token he has shown.
func TestJSONTickets(t *testing.T) {
	for name, test := range map[string]struct {
		token string
		asked []string
	}{
		"none":     {"", []string{"new_session", "update_session", "close_session"}},
		"long":     {strings.Repeat("x", 3000), []string{"new_session", "update_session", "close_session"}},
		"too long": {strings.Repeat("x", MaxTicket+1), []string{"new_session", "close_session"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, status(200, "X-AuthDuration", "60"))
			a := newAuth(t, Options{Callback: &Callback{URL: f.URL}})
			run(t, a)
			id, err := a.Admit(t.Context(), request(test.token))
			if err != nil || id.Ticket == "" || len(id.Ticket) > MaxTicket {
				t.Fatal(len(id.Ticket), err)
			}
			again := request("")
			again.SessionID = "another" // than the one that he was asked for by
			if id, err = a.Again(t.Context(), again, id); err != nil {
				t.Fatal(err)
			}
			a.Removed(Removal{SessionID: "another", Group: "news", Kind: "hls", Ticket: id.Ticket})
			eventually(t, "the close", func() bool { return len(f.questions()) == len(test.asked) })
			for i, kind := range test.asked {
				token := test.token
				if kind == "close_session" && len(token) > MaxTicket {
					token = ""
				}
				if q := f.questions()[i]; !strings.Contains(q, `"request_type":"`+kind+`"`) || !strings.Contains(q, `"token":"`+token+`"`) || !strings.Contains(q, `"session_id":"s-1"`) {
					t.Errorf("%d: %.300s", i, q)
				}
			}
		})
	}
}

func TestWhatABackendAloneIsShown(t *testing.T) {
	f := newFake(t, status(401))
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL}})
	for i, test := range []struct{ header, query, token, code string }{
		{"", "", "", TokenRequired},
		{"Bearer b", "token=q", "b", NotAllowed},
		{"", "token=q%20x", "q x", NotAllowed},
		{"Basic YW5uOnBhOnNz", "", "ann:pa:ss", NotAllowed},
		{"Basic !", "", "", TokenRequired},
	} {
		r := request("")
		r.Authorization, r.RawQuery = test.header, test.query
		_, err := a.Admit(t.Context(), r)
		var q jsonQuestion
		must(t, json.Unmarshal([]byte(f.questions()[i]), &q))
		if code(t, err) != test.code || q.Token != test.token {
			t.Errorf("%+v: %v, %q", test, err, q.Token)
		}
	}
	for _, header := range []string{"Bearer " + strings.Repeat("x", maxToken+1), "Basic ADo="} {
		r := request("")
		r.Authorization = header
		if _, err := a.Admit(t.Context(), r); code(t, err) != TokenInvalid || len(f.questions()) != 5 {
			t.Errorf("%.20s: %v", header, err)
		}
	}
}

func TestAnswersServeOthers(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		asked  int // for three sessions
		denied bool
	}{
		"duration":             {status(200, "X-AuthDuration", "60"), 1, false},
		"max-age":              {status(200, "Cache-Control", "private, max-age=60"), 1, false},
		"nothing":              {status(200), 3, false},
		"no-store":             {status(200, "Cache-Control", "no-store"), 3, false},
		"Retry-After of an OK": {status(200, "Retry-After", "60"), 3, false},
		"denied":               {status(403), 3, true},
		"denied for a while":   {status(403, "Retry-After", "60"), 1, true},
		"denied, max-age":      {status(403, "Cache-Control", "max-age=60"), 1, true},
		"failing":              {status(500), 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, test.answer)
			a := newAuth(t, Options{Callback: &Callback{URL: f.URL}})
			for i := range 3 {
				r := request("t")
				r.SessionID = fmt.Sprint(i)
				if _, err := a.Admit(t.Context(), r); (err != nil) != test.denied {
					t.Error(err)
				}
			}
			if n := len(f.questions()); n != test.asked {
				t.Errorf("asked %d times", n)
			}
			// Nobody else has that answer.
			for i, change := range []func(*Request){func(r *Request) { r.Authorization = "Bearer u" }, func(r *Request) { r.Group = "other" },
				func(r *Request) { r.Address = netip.MustParseAddr("192.0.2.8") }, func(r *Request) { r.Agent = "mpv" }} {
				r := request("t")
				change(r)
				_, _ = a.Admit(t.Context(), r)
				if n := len(f.questions()); n != test.asked+i+1 {
					t.Errorf("%d: asked %d times", i, n)
				}
			}
		})
	}
}

func TestAnswersGrowOld(t *testing.T) {
	f := newFake(t, status(200, "X-AuthDuration", "60"))
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL}})
	first, err := a.Admit(t.Context(), request("t"))
	must(t, err)
	second, err := a.Admit(t.Context(), request("t"))
	if err != nil || !second.Again.Equal(first.Again) {
		t.Errorf("who was let in by an answer is asked about at %v, and not when it is over, at %v", second.Again, first.Again)
	}
	age(a, time.Minute)
	f.says(status(403))
	if _, err := a.Admit(t.Context(), request("t")); code(t, err) != NotAllowed || len(f.questions()) != 2 {
		t.Error(err)
	}
}

// age makes all answers older.
func age(a *Auth, d time.Duration) {
	k := a.backend.known
	k.mu.Lock()
	defer k.mu.Unlock()
	for e := k.order.Front(); e != nil; e = e.Next() {
		r := e.Value.(*remembered)
		r.answer.at = r.answer.at.Add(-d)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	a := newAnswers(3)
	k := func(i int) answerKey { return digest(fmt.Sprint(i)) }
	for i := range 3 {
		a.put(k(i), answer{maxSessions: i})
	}
	a.get(k(0))
	a.put(k(3), answer{})
	a.put(k(0), answer{maxSessions: 7})
	for i, want := range []bool{true, false, true, true} {
		if _, ok := a.get(k(i)); ok != want {
			t.Error(i, ok)
		}
	}
	if v, _ := a.get(k(0)); v.maxSessions != 7 || len(a.by) != 3 || a.order.Len() != 3 {
		t.Error(v, len(a.by))
	}
}

// TestGarbledTimes: a time that is none is no limit, as at Icecast, and the log says so, once.
func TestGarbledTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"900": 900 * time.Second, " 900 s": 900 * time.Second, "900.5": 900 * time.Second, "0": time.Second, "1" + strings.Repeat("0", 400): maxSeconds * time.Second,
		"soon": -1, "-5": -1, "NaN": -1, "15m": 15 * time.Second, "": 0} {
		var book logBook
		f := newFake(t, status(200, "icecast-auth-user", "1", "icecast-auth-timelimit", text))
		a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Style: "icecast", Timeout: 30 * time.Second}, Log: book.logger()})
		for range 2 {
			id, err := a.Admit(t.Context(), request(""))
			must(t, err)
			if want <= 0 != id.Ends.IsZero() || want > 0 && (time.Until(id.Ends)-want).Abs() > time.Minute {
				t.Errorf("%q: it ends at %v", text, id.Ends)
			}
		}
		if n := strings.Count(book.String(), "makes no sense"); n != 1 && want < 0 || n != 0 && want >= 0 || want < 0 && !strings.Contains(book.String(), "icecast-auth-timelimit") {
			t.Errorf("%.20q: the log says\n%s", text, book.String())
		}
	}
	for text, odd := range map[string]bool{"soon": true, "-1": true, "0": false, "0.0": false, "60": false, "": false} {
		var book logBook
		f := newFake(t, status(200, "X-AuthDuration", text))
		a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Timeout: 30 * time.Second}, Log: book.logger()})
		for n := range 2 {
			r := request("")
			r.Agent = fmt.Sprint(n)
			if _, err := a.Admit(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
		if n := strings.Count(book.String(), "makes no sense"); odd != (n == 1) || n > 1 {
			t.Errorf("%q: the log says\n%s", text, book.String())
		}
	}
}

// TestKnownAs: backends and key servers hear who asks.
func TestKnownAs(t *testing.T) {
	agents := make(chan string, 10)
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		w.Header().Set("icecast-auth-user", "1")
	})
	for _, style := range []string{"json", "icecast"} {
		a := newAuth(t, Options{UserAgent: "Earshot/1.2.3", Callback: &Callback{URL: f.URL, Style: style, Timeout: 30 * time.Second}})
		_, err := a.Admit(t.Context(), request(""))
		must(t, err)
		must(t, a.backend.tell(t.Context(), &Removal{SessionID: "s"}))
	}
	a := newAuth(t, Options{UserAgent: "Earshot/1.2.3", JWT: &JWT{JWKS: f.URL}})
	if _, _, err := a.tokens.keys.remote.fetch(t.Context()); err == nil {
		t.Error("keys of nothing")
	}
	for range 5 {
		if got := <-agents; got != "Earshot/1.2.3" {
			t.Errorf("it hears %q", got)
		}
	}
}

// What is done about listeners while the backend fails, in each way it can, under each policy.
func TestFailingBackend(t *testing.T) {
	fails := map[string]http.HandlerFunc{
		"status":  status(502),
		"busy":    status(429), // and no is not what it says
		"timeout": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow": func(w http.ResponseWriter, r *http.Request) { // the head at once, and a body that never ends
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	}
	for how, failing := range fails {
		for policy, want := range map[string]struct{ known, denied, unknown string }{
			"allow": {"", "", ""}, "deny": {NotAllowed, NotAllowed, NotAllowed}, "last": {"", NotAllowed, NotAllowed},
		} {
			t.Run(how+" "+policy, func(t *testing.T) {
				t.Parallel()
				var book logBook
				reg := prometheus.NewRegistry()
				m := NewMetrics(reg)
				f := newFake(t, status(200, "X-UserId", "ann", "X-AuthDuration", "60", "X-Max-Sessions", "2"))
				a := newAuth(t, Options{Callback: &Callback{URL: f.URL, OnError: policy, Timeout: 30 * time.Second}, Log: book.logger(), Metrics: m})
				live, err := a.Admit(t.Context(), request("ann"))
				must(t, err)
				f.says(status(403))
				if _, err = a.Admit(t.Context(), request("bob")); code(t, err) != NotAllowed {
					t.Fatal(err)
				}
				age(a, time.Hour)
				f.says(failing)
				reason := map[string]string{"status": "status", "busy": "status", "timeout": "timeout", "slow": "timeout"}[how]
				if reason == "timeout" { // none that is answered at last may run into it
					a.backend.timeout = 100 * time.Millisecond
				}
				began := time.Now()
				for token, code0 := range map[string]string{"ann": want.known, "bob": want.denied, "eve": want.unknown} {
					id, err := a.Admit(t.Context(), request(token))
					if got := code(t, err); got != code0 {
						t.Errorf("%s: %v", token, err)
					}
					if err == nil && (!id.Again.After(time.Now()) || time.Until(id.Again) > askAgain) {
						t.Errorf("%s is asked about at %v", token, id.Again)
					}
					if err == nil && token == "ann" && (id.User != "ann" || id.MaxSessions != 2) {
						t.Errorf("what was known of her: %+v", id)
					}
				}
				kept, err := a.Again(t.Context(), request(""), live)
				if err != nil || kept.User != "ann" || !kept.Again.After(time.Now()) {
					t.Errorf("who listened: %+v, %v", kept, err)
				}
				if d := time.Since(began); d > 15*time.Second {
					t.Errorf("it took %v", d)
				}
				a.backend.timeout = 30 * time.Second
				if n := count(t, reg, "earshot_auth_callback_failures_total", reason); n != 4 {
					t.Errorf("%v failures", n)
				}
				if n := count(t, reg, "earshot_auth_degraded_total", policy) + count(t, reg, "earshot_auth_degraded_total", "kept"); n != 4 {
					t.Errorf("%v degraded", n)
				}
				f.says(status(403))
				if _, err = a.Again(t.Context(), request(""), live); code(t, err) != NotAllowed {
					t.Errorf("a backend that says no: %v", err)
				}
				if log := book.String(); strings.Count(log, "does not answer") != 1 || strings.Count(log, "answers again") != 1 {
					t.Errorf("told:\n%s", log)
				}
			})
		}
	}
}

// Many who ask the same are one question; who leaves leaves the others alone.
func TestOneQuestion(t *testing.T) {
	gate := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { <-gate; w.Header().Set("X-UserId", "ann") })
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL}})
	first, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := a.Admit(first, request("t")); code(t, err) != NotAllowed {
			t.Error(err)
		}
	})
	eventually(t, "the question", func() bool { return len(f.questions()) == 1 })
	for i := range 20 {
		all.Go(func() {
			r := request("t")
			r.SessionID = fmt.Sprint(i)
			if id, err := a.Admit(t.Context(), r); err != nil || id.User != "ann" {
				t.Error(id, err)
			}
		})
	}
	waiting := func() (n int) {
		a.backend.mu.Lock()
		defer a.backend.mu.Unlock()
		for _, c := range a.backend.calls {
			n += c.waiting
		}
		return n
	}
	eventually(t, "all of them", func() bool { return waiting() == 21 })
	leave()
	eventually(t, "one leaves", func() bool { return waiting() == 20 })
	close(gate)
	all.Wait()
	if n := len(f.questions()); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	gate := make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	f := newFake(t, func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		<-gate
		mu.Lock()
		now--
		mu.Unlock()
	})
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Timeout: 30 * time.Second}})
	var all sync.WaitGroup
	for i := range 2 * maxAsking {
		all.Go(func() {
			if _, err := a.Admit(t.Context(), request(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return now }
	eventually(t, "as many as may be", func() bool { return count() == maxAsking })
	close(gate)
	all.Wait()
	if most != maxAsking {
		t.Errorf("%d at a time", most)
	}
}

func TestIcecast(t *testing.T) {
	f := newFake(t, status(200, "icecast-auth-user", "1"))
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Style: "icecast"}})
	run(t, a)
	r := request("")
	r.Kind, r.Group, r.Path, r.RawQuery, r.Authorization, r.Referer = "icy", "kpcc", "/kpcc.mp3", "token=q&x=1", "Basic YW5uOnBhOnNz", "http://radio.example/"
	id, err := a.Admit(t.Context(), r)
	if err != nil || id.User != "ann" || !id.Ends.IsZero() || !id.Again.IsZero() {
		t.Fatal(id, err)
	}
	a.Removed(Removal{SessionID: "another", Kind: "icy", Path: r.Path, Host: r.Host, User: "ann", Ticket: id.Ticket, Address: "192.0.2.7", Agent: r.Agent, Duration: 95*time.Second + 900*time.Millisecond, Bytes: 1234})
	eventually(t, "the remove", func() bool { return len(f.questions()) == 2 })
	common := url.Values{"server": {"radio.example"}, "port": {"8080"}, "client": {"s-1"}, "mount": {"/kpcc.mp3?token=q&x=1"}, "user": {"ann"}, "pass": {"pa:ss"},
		"ip": {"192.0.2.7"}, "agent": {"VLC/3.0.18"}}
	common.Set("action", "listener_add")
	common.Set("referer", "http://radio.example/")
	if got := f.questions()[0]; got != common.Encode() {
		t.Errorf("%s\n%s", got, common.Encode())
	}
	common.Del("referer")
	common.Set("action", "listener_remove")
	common.Set("duration", "95")
	common.Set("sent", "1234")
	if got := f.questions()[1]; got != common.Encode() {
		t.Errorf("%s\n%s", got, common.Encode())
	}
	// Each session is asked for, whatever the answer says of its age.
	f.says(status(200, "ICECAST-AUTH-USER", " 1 ", "Icecast-Auth-Timelimit", "90", "Cache-Control", "max-age=60", "X-AuthDuration", "60"))
	for range 2 {
		if id, err = a.Admit(t.Context(), r); err != nil || time.Until(id.Ends).Round(5*time.Second) != 90*time.Second || !id.Again.IsZero() {
			t.Error(id, err)
		}
	}
	if n := len(f.questions()); n != 4 {
		t.Errorf("%d questions", n)
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		detail string
	}{
		"no word":       {status(200), "you may not listen to this"},
		"zero":          {status(200, "icecast-auth-user", "0"), "you may not listen to this"},
		"eleven":        {status(200, "icecast-auth-user", "11"), "you may not listen to this"},
		"not a 200":     {status(403, "icecast-auth-user", "1"), "you may not listen to this"},
		"with a reason": {status(200, "icecast-auth-message", "Pay first"), "Pay first"},
	} {
		f.says(test.answer)
		if _, err := a.Admit(t.Context(), r); code(t, err) != NotAllowed || err.(*Refusal).Detail != test.detail {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := a.Again(t.Context(), r, id); err != nil || again.User != "ann" {
		t.Error(again, err)
	}
	r.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 257)+":b"))
	f.says(status(200, "icecast-auth-user", "1"))
	if _, err = a.Admit(t.Context(), r); code(t, err) != TokenInvalid {
		t.Error(err)
	}
}

// A ticket that would be too long loses its query first, then the password.
func TestIcecastTicket(t *testing.T) {
	for query, want := range map[string]string{"x=1": "c=s-1&p=b&q=x%3D1&u=a", strings.Repeat("x", MaxTicket): "c=s-1&p=b&u=a"} {
		q := &question{Request: &Request{SessionID: "s-1", RawQuery: query}, basicAs: "a", password: "b"}
		if got := (icecastStyle{}).ticket(q); got != want {
			t.Error(got)
		}
	}
	q := &question{Request: &Request{SessionID: "s-1"}, basicAs: "a", password: strings.Repeat("x", MaxTicket)}
	if got := (icecastStyle{}).ticket(q); got != "c=s-1&u=a" {
		t.Error(got)
	}
}

// Who was let in and had left is taken off the backend's count again.
func TestLeftBeforeTheAnswer(t *testing.T) {
	gate := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) { <-gate; w.Header().Set("icecast-auth-user", "1") })
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Style: "icecast"}})
	run(t, a)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := a.Admit(ctx, request("")); done <- err }()
	eventually(t, "the question", func() bool { return len(f.questions()) == 1 })
	leave()
	if err := <-done; code(t, err) != NotAllowed {
		t.Error(err)
	}
	close(gate)
	eventually(t, "the remove", func() bool { return len(f.questions()) == 2 })
	if q := f.questions()[1]; !strings.Contains(q, "action=listener_remove") || !strings.Contains(q, "client=s-1") || !strings.Contains(q, "duration=0") {
		t.Error(q)
	}
}

// A backend that counts is asked for each of two sessions that look the same and begin at the same time.
func TestIcecastIsAskedForEach(t *testing.T) {
	gate := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) { <-gate; w.Header().Set("icecast-auth-user", "1") })
	a := newAuth(t, Options{Callback: &Callback{URL: f.URL, Style: "icecast", Timeout: 30 * time.Second}})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	var all sync.WaitGroup
	for _, id := range []string{"s-1", "s-2"} {
		all.Go(func() {
			r := request("")
			r.SessionID = id
			if _, err := a.Admit(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "two questions", func() bool { return len(f.questions()) == 2 })
	open()
	all.Wait()
}
