package gate

import (
	"strings"
	"testing"
	"unsafe"

	"earshot/session"
)

// TestAdmitHoldsLittle: what the table keeps of a request is a copy: the head that it stood in can be a thousand times larger.
func TestAdmitHoldsLittle(t *testing.T) {
	g := New(Options{Table: session.NewTable(1)})
	head := strings.Repeat("x", 60_000)
	v := g.Admit(t.Context(), &Request{Key: session.Key{ID: session.ID(head[:20]), Group: "news"}, Listener: session.Listener{Agent: head[:200]}})
	if v.Action != Allow {
		t.Fatal(v.Code)
	}
	if s := v.Session; unsafe.StringData(string(s.Key.ID)) == unsafe.StringData(head) || unsafe.StringData(s.Listener().Agent) == unsafe.StringData(head) {
		t.Error("the session keeps the whole head alive")
	}
}
