package session

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func signer(t testing.TB, ids ...string) *Signer {
	t.Helper()
	var secrets []Secret
	for _, id := range ids {
		secrets = append(secrets, Secret{ID: id, Key: []byte("0123456789abcdef" + id)})
	}
	s, err := NewSigner(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var full = Grant{Group: "tv-ü", UserID: "u", DeviceID: "d", DeviceType: "stb", Issued: time.Unix(1_700_000_000, 0),
	Expires: time.Unix(1_800_000_000, 0), Role: 2, Playlist: "hi/index.m3u8?a=b", ByQuery: true}

func TestGrantRoundTrip(t *testing.T) {
	s := signer(t, "a")
	for _, g := range []Grant{{}, full, {Role: RoleMaster, Playlist: "master.m3u8"}} {
		text := s.Sign("id", &g)
		got, err := s.Verify(text, "id")
		if err != nil || got != g {
			t.Errorf("%+v came back as %+v, %v", g, got, err)
		}
		if again := s.Sign("id", &g); again != text {
			t.Errorf("the same grant is signed differently: a player would see two URIs")
		}
		if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Errorf("%q is not safe in a URL", text)
		}
	}
}

// TestGrantAltered flips every bit of a grant and cuts it everywhere: none of it passes. Nor does it for another id.
func TestGrantAltered(t *testing.T) {
	s := signer(t, "a")
	text := []byte(s.Sign("id", &full))
	for i := range text {
		for bit := range 8 {
			altered := append([]byte(nil), text...)
			altered[i] ^= 1 << bit
			if _, err := s.Verify(string(altered), "id"); err == nil {
				t.Fatalf("byte %d, bit %d altered: accepted", i, bit)
			}
		}
		if _, err := s.Verify(string(text[:i]), "id"); err == nil {
			t.Fatalf("cut at %d: accepted", i)
		}
	}
	for _, id := range []ID{"", "i", "id2", "di"} {
		if _, err := s.Verify(string(text), id); !errors.Is(err, ErrGrantForged) {
			t.Errorf("for id %q: %v", id, err)
		}
	}
	if _, err := s.Verify(strings.Repeat("A", 100_000), "id"); !errors.Is(err, ErrGrantMalformed) {
		t.Errorf("100 kB: %v", err)
	}
}

// TestRotation: the first key signs, all verify.
func TestRotation(t *testing.T) {
	old, both, next := signer(t, "a"), signer(t, "b", "a"), signer(t, "b")
	g := Grant{Group: "g"}
	if _, err := both.Verify(old.Sign("id", &g), "id"); err != nil {
		t.Error(err)
	}
	if _, err := next.Verify(both.Sign("id", &g), "id"); err != nil {
		t.Error(err)
	}
	if _, err := next.Verify(old.Sign("id", &g), "id"); !errors.Is(err, ErrGrantKey) {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	s := signer(f, "a")
	f.Add(s.Sign("id", &full), "id")
	f.Fuzz(func(t *testing.T, text, id string) {
		g, err := s.Verify(text, ID(id))
		if err == nil && s.Sign(ID(id), &g) != text {
			t.Errorf("accepted %q, which is not what it signs", text)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s := signer(b, "a")
	b.ReportAllocs()
	for b.Loop() {
		s.Sign("u51DUlkuNrtCoVgR-xzQgQ", &full)
	}
}

func BenchmarkVerify(b *testing.B) {
	s := signer(b, "a")
	text := s.Sign("u51DUlkuNrtCoVgR-xzQgQ", &full)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(text, "u51DUlkuNrtCoVgR-xzQgQ"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseID(t *testing.T) {
	for _, s := range []string{"a", "6e2fb550-c457-11e9-bb97-0800200c9a66", `it's "quoted", <odd>;`, "ünï", strings.Repeat("x", MaxID)} {
		if id, err := ParseID(s); err != nil || string(id) != s {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", strings.Repeat("x", MaxID+1), "a\nb", "a\r\nX: y", "a\x00", "\xff", "a\u200bb", "a\u2028b"} {
		if _, err := ParseID(s); !errors.Is(err, ErrID) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable(2)
	now := time.Unix(1000, 0)
	a, fresh, err := table.Admit(&Session{Key: Key{"a", "g"}}, now)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	if again, fresh, err := table.Admit(&Session{Key: Key{"a", "g"}}, now.Add(time.Second)); again != a || fresh || err != nil {
		t.Error("a second session of one key")
	}
	if !a.Seen().Equal(now.Add(time.Second)) {
		t.Errorf("seen %v", a.Seen())
	}
	if _, fresh, err := table.Admit(&Session{Key: Key{"a", "h"}}, now); !fresh || err != nil {
		t.Error("the same id on another group is another session", err)
	}
	if _, _, err := table.Admit(&Session{Key: Key{"b", "g"}}, now); !errors.Is(err, ErrFull) || !table.Full() {
		t.Error(err)
	}
	if n := len(table.Sweep(func(s *Session) bool { return s.Key.Group == "h" })); n != 1 || table.Len() != 1 {
		t.Errorf("%d swept, %d left", n, table.Len())
	}
	table.Remove(Key{"nobody", "g"})
	if table.Len() != 1 {
		t.Error("who was never there was counted")
	}
}

// TestBareSessions: many first polls at once from one player are one session, and the table can be built again from ids.
func TestBareSessions(t *testing.T) {
	s := signer(t, "a")
	tag := s.BareTag(netip.MustParseAddr("192.0.2.1"), "VLC", "g\x00hi.m3u8")
	if tag == s.BareTag(netip.MustParseAddr("192.0.2.2"), "VLC", "g\x00hi.m3u8") || tag == s.BareTag(netip.MustParseAddr("192.0.2.1"), "VLC2", "g\x00hi.m3u8") {
		t.Error("two players share a tag")
	}
	table := NewTable(100)
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := make(map[ID]int)
	for i := range 50 {
		all.Go(func() {
			now := time.UnixMilli(int64(i))
			live, _, err := table.Admit(&Session{Key: Key{NewBareID(tag, now), "g"}}, now)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			ids[live.Key.ID]++
			mu.Unlock()
		})
	}
	all.Wait()
	if len(ids) != 1 || table.Len() != 1 {
		t.Fatalf("%d ids, %d sessions", len(ids), table.Len())
	}
	id, ok := table.Bare(tag, "g")
	if !ok || ids[id] != 50 {
		t.Errorf("found %q", id)
	}
	rebuilt := NewTable(100)
	rebuilt.Admit(&Session{Key: Key{id, "g"}}, time.Unix(0, 0))
	if again, ok := rebuilt.Bare(tag, "g"); !ok || again != id {
		t.Errorf("after a restart: %q", again)
	}
	rebuilt.Remove(Key{id, "g"})
	if _, ok := rebuilt.Bare(tag, "g"); ok {
		t.Error("a removed session is still found")
	}
	if !IsBare(id) || IsBare("b.x.y") || IsBare(NewID()) {
		t.Error("bare ids are not told apart")
	}
}

func BenchmarkAdmitLive(b *testing.B) {
	table := NewTable(1 << 20)
	now := time.Now()
	for i := range 100_000 {
		table.Admit(&Session{Key: Key{ID(fmt.Sprint(i)), "g"}}, now)
	}
	key := Key{"4711", "g"}
	b.ReportAllocs()
	for b.Loop() {
		if s, ok := table.Get(key); ok {
			s.Touch(now)
		}
	}
}
