package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"earshot/blackout"
	"earshot/gate"
	"earshot/session"
)

// desk is a Handler before a real gate; what it asks comes from this host.
type desk struct {
	*edge
	t    testing.TB
	gate *gate.Gate
	live session.Live
	kept *evidenceKeeper
}

func newDesk(t testing.TB, opt gate.Options) *desk {
	d := &desk{t: t, live: opt.Live, kept: &evidenceKeeper{}}
	if d.live == nil {
		d.live = session.NewMemory(1000)
	}
	opt.Table, opt.Live, opt.Keeper = session.NewTable(10), d.live, d.kept
	d.gate = gate.New(opt)
	d.edge = newEdge(Options{Gate: d.gate})
	return d
}

// evidenceKeeper keeps evidence, and forgets the rest.
type evidenceKeeper struct {
	gate.Keeper
	rows  []blackout.Evidence
	asked blackout.EvidenceQuery
	err   error // all fail with this
}

func (k *evidenceKeeper) Post(context.Context, session.Note) error { return k.err }

func (k *evidenceKeeper) Withdraw(context.Context, string, string) (bool, error) { return true, k.err }

func (k *evidenceKeeper) Evidence(_ context.Context, q blackout.EvidenceQuery) (all []blackout.Evidence, err error) {
	k.asked = q
	for _, e := range k.rows {
		if e.ID > q.After && len(all) < q.Limit {
			all = append(all, e)
		}
	}
	return all, k.err
}

func (d *desk) ask(method, path, body string) (*httptest.ResponseRecorder, map[string]any) {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:9", "127.0.0.1:8081"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	var v map[string]any
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
			d.t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
		}
	}
	return rec, v
}

func (d *desk) want(status int, method, path, body string) map[string]any {
	d.t.Helper()
	rec, v := d.ask(method, path, body)
	if rec.Code != status {
		d.t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, rec.Code, status, rec.Body)
	}
	return v
}

func (d *desk) refused(status int, code, says, method, path, body string) {
	d.t.Helper()
	rec, v := d.ask(method, path, body)
	wantProblem(d.t.(*testing.T), rec.Result(), rec.Body.String(), status, code)
	if detail, _ := v["detail"].(string); !strings.Contains(detail, says) {
		d.t.Errorf("%s %s: %q, want %q", path, body, detail, says)
	}
}

// plays gives a session a seat, as an edge does.
func (d *desk) plays(id, group, user string, uses ...session.Use) {
	d.t.Helper()
	answer, err := d.live.Claim(d.t.Context(), &session.Claim{TTL: time.Minute, Seat: session.Seat{Key: session.Key{ID: session.ID(id), Group: group}, Kind: session.HLS,
		Edge: "there", UserID: user, DeviceType: "stb", Address: netip.MustParseAddr("192.0.2.7"), Agent: "Tuner", Uses: uses}})
	if err != nil || answer.Outcome != session.Held {
		d.t.Fatal(answer.Outcome, err)
	}
}

func TestEndSession(t *testing.T) {
	d := newDesk(t, gate.Options{})
	d.plays("a/1", "news", "ann")
	d.plays("a/1", "sport", "ann")
	d.plays("b", "news", "bob")
	d.want(204, "DELETE", "/admin/v1/sessions/a%2F1", "")
	for _, group := range []string{"news", "sport"} {
		found, err := d.live.Renew(t.Context(), "x", []session.Renewal{{Key: session.Key{ID: "a/1", Group: group}, TTL: time.Minute}})
		if err != nil || found[0].State != session.Over {
			t.Errorf("%s: %v %v", group, found, err)
		}
	}
	if seats := d.want(200, "GET", "/admin/v1/seats", "")["seats"].([]any); len(seats) != 1 || seats[0].(map[string]any)["session_id"] != "b" {
		t.Errorf("%v", seats)
	}
	d.refused(404, "not-found", `there is no session "none"`, "DELETE", "/admin/v1/sessions/none", "")
	d.refused(404, "not-found", "", "DELETE", "/admin/v1/sessions/a%00", "")
	d.refused(400, "bad-query", "this path has none", "DELETE", "/admin/v1/sessions/b?force=1", "")
	rec, _ := d.ask("GET", "/admin/v1/sessions/b", "")
	if rec.Code != 405 || rec.Header().Get("Allow") != "DELETE" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

func TestSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, gate.Options{})
		d.plays("one", "news", "ann", session.Use{Name: "user=ann", Max: 3})
		time.Sleep(time.Second)
		if _, _, err := d.gate.Make(t.Context(), gate.Play{ID: "two", User: "ann", Service: "live"}); err != nil {
			t.Fatal(err)
		}
		d.plays("three", "news", "bob")
		ids := func(query string) (ids []string) {
			for _, s := range d.want(200, "GET", "/admin/v1/seats"+query, "")["seats"].([]any) {
				ids = append(ids, s.(map[string]any)["session_id"].(string))
			}
			return ids
		}
		for query, want := range map[string][]string{"?user=ann": {"one", "two"}, "?id=three": {"three"}, "?id=three&user=ann": nil, "?id=none": nil,
			"?id=%00": nil, "?user=ann&limit=1": {"one"}, "?user=none": nil} {
			if got := ids(query); !slices.Equal(got, want) {
				t.Errorf("%s: %q", query, got)
			}
		}
		want := map[string]any{"session_id": "one", "kind": "hls", "group": "news", "api": false, "edge": "there", "user_id": "ann", "device_id": "",
			"device_type": "stb", "address": "192.0.2.7", "user_agent": "Tuner", "service": "", "started": "2000-01-01T00:00:00Z",
			"seen": "2000-01-01T00:00:00Z", "expires": "2000-01-01T00:01:00Z", "limits": []any{"user=ann"}}
		if got := d.want(200, "GET", "/admin/v1/seats?id=one", "")["seats"].([]any)[0]; !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		d.refused(400, "bad-query", "limit is", "GET", "/admin/v1/seats?limit=0", "")
		d.refused(400, "bad-query", "there is no parameter", "GET", "/admin/v1/seats?usr=ann", "")
	})
}

func TestLimits(t *testing.T) {
	d := newDesk(t, gate.Options{})
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("user=u%d", i)
		want = append(want, name+" 1/3", name+" device_type=stb 1/2")
		d.plays(fmt.Sprint(i), "news", "", session.Use{Name: name, Max: 3}, session.Use{Name: name + " device_type=stb", Max: 2})
	}
	slices.Sort(want)
	var got []string
	for next := ""; ; {
		page := d.want(200, "GET", "/admin/v1/limits?limit=4&after="+next, "")
		for _, l := range page["limits"].([]any) {
			l := l.(map[string]any)
			got = append(got, fmt.Sprintf("%v %v/%v", l["name"], l["taken"], l["max"]))
		}
		if next = page["next"].(string); next == "" {
			break
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	d.refused(400, "bad-query", "after is", "GET", "/admin/v1/limits?after=cwBh", "")
}

func TestBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, gate.Options{})
		d.plays("one", "news", "ann")
		d.plays("two", "news", "")
		rec, byUser := d.ask("POST", "/admin/v1/bans", `{"user":"bob","for":"1d12h","reason":"fraud"}`)
		if rec.Code != 201 || rec.Header().Get("Location") != "/admin/v1/bans/"+byUser["id"].(string) || byUser["user"] != "bob" || byUser["reason"] != "fraud" ||
			byUser["made"] != "2000-01-01T00:00:00Z" || byUser["until"] != "2000-01-02T12:00:00Z" {
			t.Errorf("%d %v %v", rec.Code, rec.Header(), byUser)
		}
		if b := d.want(201, "POST", "/admin/v1/bans", `{"session":"one","for":"1h"}`); b["user"] != "ann" || b["address"] != nil {
			t.Errorf("%v", b)
		}
		if b := d.want(201, "POST", "/admin/v1/bans", `{"session":"two","for":"1h"}`); b["user"] != nil || b["address"] != "192.0.2.7" || b["agent"] != "Tuner" {
			t.Errorf("%v", b)
		}
		d.want(201, "POST", "/admin/v1/bans", `{"address":"::ffff:192.0.2.9","agent":"VLC","for":"90s"}`)
		var listed []string
		for next := ""; ; {
			page := d.want(200, "GET", "/admin/v1/bans?limit=3&after="+next, "")
			for _, b := range page["bans"].([]any) {
				listed = append(listed, b.(map[string]any)["id"].(string))
			}
			if next = page["next"].(string); next == "" {
				break
			}
		}
		if len(listed) != 4 || !slices.IsSorted(listed) {
			t.Errorf("%q", listed)
		}
		at := rec.Header().Get("Location")
		if one := d.want(200, "GET", at, ""); !reflect.DeepEqual(one, byUser) {
			t.Errorf("%v, want %v", one, byUser)
		}
		if head, _ := d.ask("HEAD", at, ""); head.Code != 200 || head.Body.Len() > 0 {
			t.Errorf("%d %s", head.Code, head.Body)
		}
		if other, _ := d.ask("PUT", at, ""); other.Code != 405 || other.Header().Get("Allow") != "GET, HEAD, DELETE" {
			t.Errorf("%d %v", other.Code, other.Header())
		}
		d.refused(404, "not-found", "no such ban", "GET", "/admin/v1/bans/none", "")
		d.refused(400, "bad-query", "this path has none", "GET", at+"?x=1", "")
		short := d.want(201, "POST", "/admin/v1/bans", `{"user":"short","for":"2s"}`)["id"].(string)
		d.want(200, "GET", "/admin/v1/bans/"+short, "")
		time.Sleep(2 * time.Second)
		d.refused(404, "not-found", "no such ban", "GET", "/admin/v1/bans/"+short, "")
		d.want(204, "DELETE", at, "")
		d.refused(404, "not-found", "no such ban", "GET", at, "")
		d.refused(404, "not-found", "no such ban", "DELETE", rec.Header().Get("Location"), "")
		for body, says := range map[string]string{
			`{"for":"1h"}`:                                         "one of user, session, or address with agent",
			`{"user":"a","session":"b","for":"1h"}`:                "one of user, session, or address with agent",
			`{"user":"a","agent":"b","for":"1h"}`:                  "agent goes with address",
			`{"user":"a"}`:                                         "for is missing",
			`{"user":"a","for":"3600"}`:                            `for is "3600"`,
			`{"user":"a","for":"-1h"}`:                             `for is "-1h"`,
			`{"user":"a","for":"1ms"}`:                             `for is "1ms"`,
			`{"user":"a","for":"0"}`:                               `for is "0"`,
			`{"user":"a","for":"99999999999w"}`:                    `for is`,
			`{"user":"a","for":"4000000000w"}`:                     `for is`,
			`{"user":"a","for":"20000d"}`:                          "10 years",
			`{"user":"a","for":"1h","until":"2027"}`:               `there is no field "until"`,
			`{"user":7,"for":"1h"}`:                                "user cannot be a JSON number",
			`{"address":"here","agent":"x","for":"1h"}`:            "here",
			`{"address":"fe80::1%eth0","for":"1h"}`:                "zone",
			`{"user":"a\u0000","for":"1h"}`:                        "user holds what is not printable",
			`{"user":"a","for":"1h","reason":"` + long(257) + `"}`: "reason is 257 bytes long",
		} {
			d.refused(422, "invalid", says, "POST", "/admin/v1/bans", body)
		}
		for _, body := range []string{`{`, `[]`, `"x"`, `{} {}`, ` `, `null`} {
			d.refused(400, "malformed", "the body cannot be read", "POST", "/admin/v1/bans", body)
		}
		d.refused(404, "not-found", "no such session", "POST", "/admin/v1/bans", `{"session":"none","for":"1h"}`)
		d.refused(413, "too-large", "65536", "POST", "/admin/v1/bans", `{"user":"`+long(64<<10)+`"}`)
		d.refused(415, "unsupported-media-type", "application/json", "POST", "/admin/v1/bans", "")
	})
}

func TestBlackouts(t *testing.T) {
	configured := blackout.Rule{ID: "derby", Streams: []string{"news"}, Action: blackout.Deny, Unknown: blackout.Deny,
		Where: blackout.Audience{Network: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	d := newDesk(t, gate.Options{Rules: []blackout.Rule{configured}})
	rec, made := d.ask("POST", "/admin/v1/blackouts", `{"id":"late/1","streams":["tv-*"],"where":{"network":["10.0.0.0/8","192.0.2.1"]},"except":{"device":"stb"},
		"from":"2020-01-01T00:00:00Z","to":"2020-01-02T00:00:00+01:00","message":"Not here."}`)
	want := map[string]any{"id": "late/1", "streams": []any{"tv-*"}, "where": map[string]any{"network": []any{"10.0.0.0/8", "192.0.2.1/32"}},
		"except": map[string]any{"device": []any{"stb"}}, "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00+01:00", "action": "deny", "unknown": "deny", "message": "Not here."}
	if rec.Code != 201 || rec.Header().Get("Location") != "/admin/v1/blackouts/late%2F1" || !reflect.DeepEqual(made, want) {
		t.Errorf("%d %v\ngot  %v\nwant %v", rec.Code, rec.Header(), made, want)
	}
	minted := d.want(201, "POST", "/admin/v1/blackouts?first=true", `{"streams":["*"],"action":"allow","where":{"network":"2001:db8::/32"}}`)["id"].(string)
	var order []string
	for _, r := range d.want(200, "GET", "/admin/v1/blackouts", "")["blackouts"].([]any) {
		r := r.(map[string]any)
		order = append(order, fmt.Sprint(r["id"], " ", r["configured"], " ", r["open"]))
	}
	if want := []string{minted + " false true", "derby true true", "late/1 false false"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	for at, want := range map[string]string{rec.Header().Get("Location"): "late/1 false false", "/admin/v1/blackouts/" + minted: minted + " false true", "/admin/v1/blackouts/derby": "derby true true"} {
		one := d.want(200, "GET", at, "")
		if got := fmt.Sprint(one["id"], " ", one["configured"], " ", one["open"]); got != want {
			t.Errorf("%s: %s", at, got)
		}
		if head, _ := d.ask("HEAD", at, ""); head.Code != 200 || head.Body.Len() > 0 {
			t.Errorf("%d %s", head.Code, head.Body)
		}
	}
	d.refused(404, "not-found", "no such blackout", "GET", "/admin/v1/blackouts/late", "")
	d.refused(400, "bad-query", "this path has none", "GET", "/admin/v1/blackouts/derby?x=1", "")
	d.refused(409, "taken", "of that id", "POST", "/admin/v1/blackouts", `{"id":"derby","streams":["*"]}`)
	d.refused(409, "configured", "the configuration", "DELETE", "/admin/v1/blackouts/derby", "")
	d.want(204, "DELETE", "/admin/v1/blackouts/late%2F1", "")
	d.refused(404, "not-found", "no such blackout", "DELETE", "/admin/v1/blackouts/late%2F1", "")
	d.refused(400, "bad-query", "first is", "POST", "/admin/v1/blackouts?first=2", `{}`)
	for body, says := range map[string]string{
		`{"stream":["news"]}`:                                   `there is no field "stream"`,
		`{"where":{"city":["x"]}}`:                              `there is no field "city"`,
		`{}`:                                                    `streams is missing: write the keys of groups and streams, such as ["news", "tv-*"], or ["*"] for all`,
		`{"id":"all","where":{"device":"tv"}}`:                  "streams is missing",
		`{"streams":null}`:                                      "streams has no value",
		`{"streams":["*"],"where":null}`:                        "where has no value",
		`{"streams":["*"],"id":""}`:                             "id has no value",
		`{"streams":["*"],"schedule":""}`:                       "schedule has no value",
		`{"streams":["*"],"Where":{}}`:                          `there is no field "Where"`,
		`{"streams":["*"],"streams":["*"]}`:                     "streams stands twice",
		`{"streams":["*"],"where":{"device":"a","device":"b"}}`: "where.device stands twice",
		`{"streams":"news"}`:                                    "streams cannot be a JSON string: write a list of texts",
		`{"streams":[7]}`:                                       "streams cannot be a JSON number: write a text",
		`{"streams":[]}`:                                        "streams is an empty list",
		`{"streams":["two words"]}`:                             `streams: "two words": write the key of a group or stream`,
		`{"streams":["` + long(129) + `"]}`:                     "1 to 128 bytes",
		`{"streams":["*"],"id":"two words"}`:                    `id: "two words": write 1 to 64 bytes`,
		`{"streams":["*"],"id":".."}`:                           `id: ".." cannot stand in a URL`,
		`{"streams":["*"],"from":"tomorrow"}`:                   `from: "tomorrow" is not a time: write one such as 2026-05-02T18:00:00Z`,
		`{"streams":["*"],"to":7}`:                              "to cannot be a JSON number: write a text",
		`{"streams":["*"],"from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:00:00Z"}`: "to: 2026-01-01T00:00:00Z is not after from",
		`{"streams":["*"],"schedule":"saturday"}`:                                     `schedule: "saturday"`,
		`{"streams":["*"],"action":"hide"}`:                                           `action: "hide": write deny or allow`,
		`{"streams":["*"],"unknown":"hide"}`:                                          `unknown: "hide": write deny or allow`,
		`{"streams":["*"],"message":"two\nlines"}`:                                    "message: write at most",
		`{"streams":["*"],"where":"GB"}`:                                              "where cannot be a JSON string: write an object",
		`{"streams":["*"],"where":{"network":["10.0.0.1/8"]}}`:                        `where.network: "10.0.0.1/8" is not an address range: write one such as`,
		`{"streams":["*"],"where":{"network":["10.0.0.0/8",null]}}`:                   `where.network: "" is not an address range`,
		`{"streams":["*"],"except":{"network":"here"}}`:                               `except.network: "here" is not an address range`,
		`{"streams":["*"],"where":{"network":"fe80::1%eth0"}}`:                        `where.network: "fe80::1%eth0" is not`,
		`{"streams":["*"],"where":{"network":[]}}`:                                    "where.network is an empty list: write at least one entry",
		`{"streams":["*"],"except":{"country":[]}}`:                                   "except.country is an empty list",
		`{"streams":["*"],"where":{"device":7}}`:                                      "where.device: write a text, or a list of texts",
		`{"streams":["*"],"where":{"device":" tv"}}`:                                  `where.device: " tv": write a device type`,
		`{"streams":["*"],"where":{"country":"UK"}}`:                                  "write GB",
		`{"streams":["*"],"where":{"country":["DE"]}}`:                                "geo",
	} {
		d.refused(422, "invalid", says, "POST", "/admin/v1/blackouts", body)
	}
	if _, all := d.ask("GET", "/admin/v1/blackouts", ""); len(all["blackouts"].([]any)) != 2 {
		t.Errorf("what was refused stands: %v", all)
	}
}

func TestEvidence(t *testing.T) {
	d := newDesk(t, gate.Options{})
	for i := range 5 {
		d.kept.rows = append(d.kept.rows, blackout.Evidence{ID: int64(i*10 + 1), At: time.UnixMilli(1500), Rule: "derby", Action: "cut", SessionID: "s", Group: "news",
			UserID: "ann", IP: "192.0.2.7", Place: blackout.Place{Country: "US", Subdivision: "CA"}, Edge: "here", Times: i})
	}
	var got []float64
	for next := ""; ; {
		page := d.want(200, "GET", "/admin/v1/evidence?limit=2&after="+next, "")
		for _, e := range page["evidence"].([]any) {
			got = append(got, e.(map[string]any)["id"].(float64))
		}
		if next = page["next"].(string); next == "" {
			break
		}
	}
	if !slices.Equal(got, []float64{1, 11, 21, 31, 41}) {
		t.Errorf("%v", got)
	}
	want := map[string]any{"id": 1., "at": "1970-01-01T00:00:01.5Z", "rule": "derby", "action": "cut", "session_id": "s", "stream": "news", "user_id": "ann", "device_id": "",
		"device_type": "", "ip": "192.0.2.7", "country": "US", "subdivision": "CA", "metro": "", "postal": "", "edge": "here", "times": 1.}
	if got := d.want(200, "GET", "/admin/v1/evidence", "")["evidence"].([]any)[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	d.want(200, "GET", "/admin/v1/evidence?rule=a&stream=b&user=c&session=d&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&limit=9", "")
	asked := blackout.EvidenceQuery{Rule: "a", Group: "b", User: "c", SessionID: "d", From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		To: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Limit: 10}
	if d.kept.asked != asked {
		t.Errorf("asked %+v", d.kept.asked)
	}
	d.refused(400, "bad-query", "from is", "GET", "/admin/v1/evidence?from=yesterday", "")
	d.refused(400, "bad-query", "to is", "GET", "/admin/v1/evidence?to=1", "")
	d.refused(400, "bad-query", "after is", "GET", "/admin/v1/evidence?after=41", "")
	d.refused(400, "bad-query", "after is", "GET", "/admin/v1/evidence?after="+(&page[int]{list: "e"}).cursor(place{"x", ""}), "")
}

// What cannot be reached is told from what is not there, and its address to nobody.
func TestOperatorsWithoutTable(t *testing.T) {
	d := newDesk(t, gate.Options{Live: outage{session.NewMemory(10)}})
	for _, path := range []string{"/admin/v1/seats", "/admin/v1/seats?id=x"} {
		rec, _ := d.ask("GET", path, "")
		wantProblem(t, rec.Result(), rec.Body.String(), 503, "unavailable")
		if strings.Contains(rec.Body.String(), "10.1.2.3") || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%v %s", rec.Header(), rec.Body)
		}
	}
	d.refused(503, "unavailable", "", "DELETE", "/admin/v1/sessions/x", "")
	h := d.Handler
	if p := h.problemOf(local("GET", "/"), errors.New("disk on fire at /var/lib")); p.Status != 500 || strings.Contains(p.Detail, "/var") {
		t.Errorf("%+v", p)
	}
}

func TestParseFor(t *testing.T) {
	for text, want := range map[string]time.Duration{"1h": time.Hour, "90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1w2d3h4m": 219*time.Hour + 4*time.Minute, "1.5h": 90 * time.Minute} {
		if got, ok := parseFor(text); !ok || got != want {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "1", "d", "-1d", "+1h", "1d-1h", "1d 1h", "1e3d", "1d1d", "99999999999d", "300000w", "1h1d", "NaN"} {
		if got, ok := parseFor(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
