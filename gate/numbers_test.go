package gate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"earshot/auth"
	"earshot/session"
)

// TestQuestionNumbers: a backend that is asked about a session again and again can count along, from 0.
func TestQuestionNumbers(t *testing.T) {
	var numbers []int
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Kind   string `json:"request_type"`
			Number int    `json:"request_number"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || (q.Kind == "new_session") != (len(numbers) == 0) {
			t.Errorf("question %d is %+v: %v", len(numbers), q, err)
		}
		numbers = append(numbers, q.Number)
		w.Header().Set("X-AuthDuration", "60")
	}))
	defer backend.Close()
	a, err := auth.New(auth.Options{Callback: &auth.Callback{URL: backend.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: []byte("0123456789abcdef")}})
	if err != nil {
		t.Fatal(err)
	}
	g := New(Options{Table: session.NewTable(10), Live: session.NewMemory(10), Signer: signer, Auth: a, SeatTTL: time.Minute, Edge: "edge"})
	r := &Request{Key: session.Key{ID: session.NewID(), Group: "news"}, Kind: session.HLS}
	id, err := a.Admit(t.Context(), &auth.Request{Group: "news", Kind: "hls", SessionID: string(r.Key.ID)})
	if err != nil {
		t.Fatal(err)
	}
	r.Identity, r.Authorised = id, true
	v := g.Admit(t.Context(), r)
	if v.Action != Allow {
		t.Fatalf("%+v", v)
	}
	for range 3 {
		g.ask(t.Context(), v.Session)
	}
	if want := []int{0, 1, 2, 3}; !slices.Equal(numbers, want) {
		t.Errorf("its questions are numbers %v, want %v", numbers, want)
	}
}
