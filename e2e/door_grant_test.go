package e2e

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// alphabet is that of base64 as grants have it.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// flipped is the text with one bit of one byte changed.
func flipped(t testing.TB, grant string, at int) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(grant)
	if err != nil {
		t.Fatal(err)
	}
	b[at%len(b)] ^= 1 << (at % 8)
	return base64.RawURLEncoding.EncodeToString(b)
}

// rewritten is the grant with what it says changed, and its signature left as it was.
func rewritten(t testing.TB, grant, from, to string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(grant)
	if err != nil || len(from) != len(to) || !bytes.Contains(b, []byte(from)) {
		t.Fatalf("%v: %q is not in the grant", err, from)
	}
	return base64.RawURLEncoding.EncodeToString(bytes.Replace(b, []byte(from), []byte(to), 1))
}

// TestDoorGrants: grants that are not the edge's own, or not for what they are shown for. On a guarded stream they are no way in; on an open one
// there is nothing to guard, and who shows one is served as who shows none.
func TestDoorGrants(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("guarded")+o.live("other")+o.live("open", "auth: none")+o.mount("radio"), doorTokens+doorSeats)
	streams := o.live("guarded") + o.live("open", "auth: none")
	foreign := startDoor(t, streams, doorTokens)
	foreign.configureSecret(t, streams, doorTokens, "key: another-key-of-the-same-length-x")
	foreign.restart(t)

	mine := newDoorPlayer(t, home, "Player")
	mine.start(d.listen + "/guarded/master.m3u8?token=" + token(t, "ann")).plays(t)
	open := newDoorPlayer(t, home, "Player")
	open.start(d.listen + "/open/master.m3u8").plays(t)
	abroad := newDoorPlayer(t, home, "Player")
	abroad.start(foreign.listen + "/guarded/master.m3u8?token=" + token(t, "ann")).plays(t)
	abroadOpen := newDoorPlayer(t, home, "Player")
	abroadOpen.start(foreign.listen + "/open/master.m3u8").plays(t)

	refused := func(t *testing.T, group, id, grant string) {
		t.Helper()
		for _, path := range []string{"/hi/index.m3u8", "/master.m3u8", "/hi/1.ts"} {
			u := withParams(d.listen+"/"+group+path, "X-Playback-Session-Id", id, "earshot", grant)
			newDoorPlayer(t, away, "Thief").ask(u).is(t, http.StatusForbidden, "grant-invalid")
		}
	}
	served := func(t *testing.T, id, grant string) {
		t.Helper()
		p := newDoorPlayer(t, away, "Player")
		p.begin(withParams(d.listen+"/open/master.m3u8", "X-Playback-Session-Id", id, "earshot", grant)).plays(t)
		p.step().plays(t)
		if p.grant() == grant || p.grant() == "" {
			t.Errorf("the grant handed on is %q", p.grant())
		}
		p.ask(withParams(p.last[0].String(), "earshot", grant)).plays(t)
	}

	t.Run("bits flipped", func(t *testing.T) { // he hopes that some bit is not under the signature
		t.Parallel()
		n := base64.RawURLEncoding.DecodedLen(len(mine.grant()))
		for at := 0; at < n; at += 3 {
			refused(t, "guarded", mine.id(), flipped(t, mine.grant(), at))
		}
		served(t, open.id(), flipped(t, open.grant(), 20))
	})
	t.Run("spelt in another way", func(t *testing.T) { // he hopes for a second text of the same grant
		t.Parallel()
		last := strings.IndexByte(alphabet, mine.grant()[len(mine.grant())-1])
		for _, text := range []string{mine.grant() + "=", mine.grant() + "A", mine.grant()[:len(mine.grant())-1],
			mine.grant()[:len(mine.grant())-1] + string(alphabet[last^1])} {
			if text != mine.grant() {
				refused(t, "guarded", mine.id(), text)
			}
		}
	})
	t.Run("of another id", func(t *testing.T) { // he hopes to play beside his friend, under an id of his own
		t.Parallel()
		refused(t, "guarded", "another", mine.grant())
		refused(t, "guarded", "", mine.grant())
		served(t, "another", open.grant())
	})
	t.Run("of another group", func(t *testing.T) { // he hopes that a token for one stream opens them all
		t.Parallel()
		refused(t, "other", mine.id(), mine.grant())
		served(t, mine.id(), mine.grant())
	})
	t.Run("of another playlist", func(t *testing.T) { // he hopes to be metered for what he did not hear
		t.Parallel()
		segment := mine.last[0].Query().Get("earshot")
		refused(t, "guarded", mine.id(), rewritten(t, segment, "hi/index.m3u8", "lo/index.m3u8"))
	})
	t.Run("of another user", func(t *testing.T) { // he hopes that his friend is charged
		t.Parallel()
		refused(t, "guarded", mine.id(), rewritten(t, mine.grant(), "ann", "bob"))
	})
	t.Run("of an open stream", func(t *testing.T) { // he hopes that a grant is a grant
		t.Parallel()
		refused(t, "guarded", open.id(), open.grant())
	})
	t.Run("signed with an unknown key", func(t *testing.T) { // he hopes that any Earshot's grants do
		t.Parallel()
		refused(t, "guarded", abroad.id(), abroad.grant())
		served(t, abroadOpen.id(), abroadOpen.grant())
	})
	t.Run("on a mount", func(t *testing.T) { // he hopes that ICY looks less closely
		t.Parallel()
		for _, grant := range []string{mine.grant(), open.grant(), "A", strings.Repeat("A", 9000)} {
			u := withParams(d.listen+"/radio.mp3", "X-Playback-Session-Id", mine.id(), "earshot", grant)
			radioAsk{url: u, address: away, agent: "Thief"}.listens(t).is(t, http.StatusForbidden, "grant-invalid")
		}
	})
	t.Run("with a token beside it", func(t *testing.T) { // no attacker: a key was rotated, and who can show who he is plays
		t.Parallel()
		p := newDoorPlayer(t, home, "Player")
		p.start(withParams(d.listen+"/guarded/master.m3u8", "X-Playback-Session-Id", abroad.id(), "earshot", abroad.grant(),
			"token", token(t, "ann"))).plays(t)
	})
}

// TestDoorGrantBeforeGuard: a stream that was open is guarded from today. Who has collected grants until then hopes that they hold.
func TestDoorGrantBeforeGuard(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news", "auth: none"), doorTokens+doorSeats)
	p := newDoorPlayer(t, home, "Player")
	p.start(d.listen + "/news/master.m3u8").plays(t)
	d.configure(t, o.live("news"), doorTokens+doorSeats)
	d.restart(t)
	p.ask(p.media.String()).is(t, http.StatusForbidden, "grant-invalid")
	p.ask(p.last[0].String()).is(t, http.StatusForbidden, "grant-invalid")
	p.start(d.listen + "/news/master.m3u8?token=" + token(t, "ann")).plays(t)
}
