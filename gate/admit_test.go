package gate

import (
	"strings"
	"testing"
	"time"
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

// TestRevived: a session that was found in the store on start goes on, with what its listener brings; it does not begin again.
func TestRevived(t *testing.T) {
	door(t, Options{}, func(r *rig) {
		p := r.player("", "", home, "VLC")
		p.id, p.group = "b.0123456789abcdef.1", "news"
		old := session.New(session.Key{ID: p.id, Group: p.group}, session.HLS, session.Listener{})
		old.Issued, old.Revived = time.Now().Add(-time.Hour), true
		if _, _, err := r.table.Admit(old, time.Now()); err != nil {
			t.Fatal(err)
		}
		v := p.admit(nil, false)
		r.want(v, "")
		if v.Fresh || v.Session.Start() || v.Session.Revived || !v.Session.Issued.Equal(old.Issued) || r.table.Len() != 1 {
			t.Errorf("fresh %v, issued %v, %d sessions", v.Fresh, v.Session.Issued, r.table.Len())
		}
		ends := time.Now().Add(time.Minute)
		cold := session.New(session.Key{ID: "cold", Group: "news"}, session.HLS, session.Listener{})
		cold.Revived = true
		if _, _, err := r.table.Admit(cold, time.Now()); err != nil {
			t.Fatal(err)
		}
		p.id = "cold"
		v = p.admit(&session.Grant{Group: "news", UserID: "ann", Issued: time.Unix(1, 0), Ends: ends}, false)
		r.want(v, "")
		if v.Session.Listener().UserID != "ann" || !v.Session.Ends.Equal(ends) || !v.Session.Issued.Equal(time.Unix(1, 0)) {
			t.Errorf("%+v", v.Session)
		}
	})
}
