package e2e

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestDoorTokens: tokens that do not hold, or not for this. Their leeway is a second.
func TestDoorTokens(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorTokens+doorSeats)
	in := func(s time.Duration) int64 { return time.Now().Add(s).Unix() }
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": "ann"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	good := token(t, "ann")
	head, rest, _ := strings.Cut(good, ".")
	_, mac, _ := strings.Cut(rest, ".")
	altered := head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bob"}`)) + "." + mac
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"none":                {"", 401, "token-required"},
		"for another stream":  {token(t, "ann", map[string]any{"streams": []string{"sports", "new"}}), 403, "not-allowed"},
		"for no stream":       {token(t, "ann", map[string]any{"streams": []string{}}), 403, "not-allowed"},
		"for these streams":   {token(t, "ann", map[string]any{"streams": []string{"ne*", "radio"}}), 200, ""},
		"expired":             {token(t, "ann", map[string]any{"exp": in(-time.Minute)}), 401, "token-invalid"},
		"of yesterday":        {token(t, "ann", map[string]any{"exp": in(-24 * time.Hour)}), 401, "token-invalid"},
		"not valid yet":       {token(t, "ann", map[string]any{"nbf": in(time.Minute)}), 401, "token-invalid"},
		"issued in future":    {token(t, "ann", map[string]any{"iat": in(time.Minute)}), 401, "token-invalid"},
		"of a clock ahead":    {token(t, "ann", map[string]any{"nbf": in(time.Second), "iat": in(time.Second)}), 200, ""}, // the leeway
		"of another's secret": {signed(t, "another secret, as long as it is 32", jwt.MapClaims{"sub": "ann"}), 401, "token-invalid"},
		"without a signature": {unsigned, 401, "token-invalid"},
		"with other claims":   {altered, 401, "token-invalid"},
		"no token":            {"rubbish", 401, "token-invalid"},
		"expires as text":     {token(t, "ann", map[string]any{"exp": "tomorrow"}), 401, "token-invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newDoorPlayer(t, home, "Player")
			l := radioAsk{url: withParams(d.listen+"/radio.mp3", "token", c.token), address: home, agent: "Radio"}.listens(t)
			r := p.start(withParams(d.listen+"/news/master.m3u8", "token", c.token))
			if c.status == 200 {
				l.plays(t)
				r.plays(t)
				return
			}
			l.is(t, c.status, c.code)
			r.is(t, c.status, c.code)
			if c.status == 401 && r.header.Get("WWW-Authenticate") == "" {
				t.Error("a 401 without a challenge")
			}
		})
	}
}

// TestDoorTokenPlaces: where a token may stand, that none is needed after the first request, and that none reaches the origin.
func TestDoorTokenPlaces(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.mount("radio"), doorTokens+doorSeats)
	text := token(t, "secretive-ann")
	for name, c := range map[string]struct {
		path   func(string) string
		bearer bool
	}{
		"query":         {func(p string) string { return p + "?token=" + text + "&keep=this" }, false},
		"authorization": {func(p string) string { return p + "?keep=this" }, true},
		"path":          {func(p string) string { return "/" + text + p + "?keep=this" }, false},
		"path, named":   {func(p string) string { return "/token=" + text + p + "?keep=this" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newDoorPlayer(t, home, "Player "+name)
			if c.bearer {
				p.header["Authorization"] = "Bearer " + text
			}
			p.begin(d.listen + c.path("/news/master.m3u8")).plays(t)
			delete(p.header, "Authorization")
			p.media.Path = strings.Replace(strings.Replace(p.media.Path, "/token="+text, "", 1), "/"+text, "", 1)
			for range 3 {
				p.step().plays(t)
			}
			ask := radioAsk{url: d.listen + c.path("/radio.mp3"), address: home, agent: "Radio " + name}
			if c.bearer {
				ask.header = map[string]string{"Authorization": "Bearer " + text}
			}
			l := ask.listens(t)
			l.plays(t)
			l.leave()
		})
	}
	kept := false
	for _, seen := range o.heard() {
		for _, secret := range []string{text, text[len(text)/2:], "Authorization", "authorization", "token=", "secretive", "X-Playback-Session-Id", "earshot="} {
			if strings.Contains(seen, secret) {
				t.Errorf("the origin was told %q: %s", secret, seen)
			}
		}
		kept = kept || strings.Contains(seen, "keep=this")
	}
	if !kept {
		t.Error("what is the origin's own did not reach it")
	}
}

// TestDoorExpiry: a token gates who begins. Whether it also ends who plays is enforce_expiry's affair.
func TestDoorExpiry(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	for name, enforced := range map[string]bool{"enforced": true, "not enforced": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := doorTokens
			if enforced {
				keys += "  enforce_expiry: true\n"
			}
			d := startDoor(t, o.live("news")+o.mount("radio"), keys+doorSeats)
			expires := time.Now().Add(4 * time.Second).Truncate(time.Second)
			text := token(t, "ann", map[string]any{"exp": expires.Unix()})
			over := expires.Add(time.Second) // the leeway
			p := newDoorPlayer(t, home, "Player")
			p.start(d.listen + "/news/master.m3u8?token=" + text).plays(t)
			l := radioAsk{url: d.listen + "/radio.mp3?token=" + text, address: home, agent: "Radio"}.listens(t)
			l.plays(t)
			for time.Now().Before(over.Add(-500 * time.Millisecond)) { // also when it has expired, within the leeway
				if r := p.step(); time.Now().Before(over) {
					r.plays(t)
				}
				time.Sleep(200 * time.Millisecond)
			}
			late := newDoorPlayer(t, home, "Late") // his clock, or ours, is half a second off
			if r := late.start(d.listen + "/news/master.m3u8?token=" + text); time.Now().Before(over) {
				r.plays(t)
			}
			time.Sleep(time.Until(over.Add(200 * time.Millisecond)))
			newDoorPlayer(t, home, "Other").ask(d.listen+"/news/master.m3u8?token="+text).is(t, 401, "token-invalid")
			if !enforced {
				p.plays(time.Second)
				l.listensFor(t, time.Second)
				return
			}
			p.poll().is(t, http.StatusGone, "ended")
			p.segment().is(t, http.StatusGone, "ended")
			l.waitCut(t, 10*time.Second, "a radio whose token has expired")
			d.restart(t) // he hopes that the edge forgets
			p.poll().is(t, http.StatusGone, "ended")
		})
	}
}
