package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"earshot/gate"
	"earshot/listen"
	"earshot/session"
)

// The story of the AminoTV page, call by call.
func TestAppStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which starts at 2000-01-01T00:00:00Z, second 946684800
		h := newHouse(t, gate.Options{})
		count := func(want int, when string) {
			t.Helper()
			if got := h.want(200, "GET", annsPath, "").ids(); len(got) != want {
				t.Errorf("%s: %q", when, got)
			}
		}
		count(0, "nobody is watching")
		stb := h.want(201, "POST", annsPath, `{"service":"live","device_type":"stb","user_agent":"Set Top Box","ip4_address":"86.190.137.158"}`)
		count(1, "the set top box")
		time.Sleep(52 * time.Second)
		mobile := h.want(201, "POST", annsPath, `{"service":"live","device_type":"mobile"}`)
		count(2, "a mobile")
		h.want(200, "PATCH", annsPath+"/"+stb.id(), "")
		want := map[string]any{"data": map[string]any{"type": "MediaPlaySession", "id": stb.id(),
			"links": map[string]any{"self": "https://edge.example" + annsPath + "/" + stb.id()},
			"attributes": map[string]any{"service": "live", "ip4_address": "86.190.137.158", "user_agent": "Set Top Box", "device_type": "stb",
				"play_started_timestamp": 946684800., "last_updated_timestamp": 946684852., "expires_timestamp": 946684852. + 7200}}}
		if got := h.want(200, "GET", annsPath+"/"+stb.id(), ""); !reflect.DeepEqual(got.body, want) {
			t.Errorf("got  %v\nwant %v", got.body, want)
		}
		if got := stb.Header().Get("Location"); got != "https://edge.example"+annsPath+"/"+stb.id() {
			t.Errorf("Location %q", got)
		}
		count(2, "the set top box is switched off")
		if a := h.want(204, "DELETE", "/api/v1/media_play_sessions/"+mobile.id(), ""); a.Body.Len() > 0 {
			t.Errorf("%s", a.Body)
		}
		count(1, "stop on the mobile")
		h.refused(404, "not-found", "DELETE", "/api/v1/media_play_sessions/"+mobile.id(), "")
		time.Sleep(2*time.Hour - time.Second)
		count(1, "not yet")
		time.Sleep(2 * time.Second)
		count(0, "some time later")
		h.refused(404, "not-found", "PATCH", annsPath+"/"+stb.id(), "")
	})
}

// Both forms say the same, and what is not known is ignored.
func TestAppForms(t *testing.T) {
	h := newHouse(t, gate.Options{})
	want := map[string]any{"service": "vod", "device_type": "mobile", "device_id": "d-1", "user_agent": "App/1", "ip6_address": "2001:db8::7"}
	const attrs = `"service":"vod","device_type":"mobile","device_id":"d-1","user_agent":"App/1","ip6_address":"2001:DB8:0::7","ip4_address":"","color":[1],"multi_stream":null`
	for name, c := range map[string]struct{ body, kind string }{
		"flat":                {`{` + attrs + `}`, "application/json"},
		"flat, of some id":    {`{"id":"chosen-1",` + attrs + `}`, "application/json; charset=UTF-8"},
		"document":            {`{"data":{"type":"MediaPlaySession","attributes":{` + attrs + `}},"meta":{}}`, "application/vnd.api+json"},
		"document as JSON":    {`{"data":{"type":"MediaPlaySession","id":"chosen-2","attributes":{` + attrs + `},"relationships":{}}}`, "application/json"},
		"no type is said":     {`{` + attrs + `}`, ""},
		"flat, as a document": {`{` + attrs + `}`, "application/vnd.api+json"},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.want(201, "POST", annsPath, c.body, "Content-Type", c.kind)
			for k, v := range want {
				if a.attribute(k) != v {
					t.Errorf("%s: %v, want %v", k, a.attribute(k), v)
				}
			}
			if strings.Contains(c.body, "chosen") != strings.HasPrefix(a.id(), "chosen") {
				t.Errorf("id %q", a.id())
			}
		})
	}
	h.want(201, "POST", annsPath, "")
	h.want(201, "POST", annsPath, `{}`)
	h.want(201, "POST", annsPath, `{"data":{"type":"MediaPlaySession"}}`)
	h.want(200, "POST", annsPath, `{"id":"chosen-1"}`) // a retry
	if a := h.want(200, "PATCH", annsPath+"/chosen-1", `{"service":"live"}`); a.attribute("device_type") != "mobile" {
		t.Errorf("what was not said has changed: %s", a.Body)
	}
}

func TestAppBodies(t *testing.T) {
	h := newHouse(t, gate.Options{})
	for body, want := range map[string]struct {
		status        int
		code, pointer string
	}{
		`{`:                                  {400, "malformed", ""},
		`[]`:                                 {400, "malformed", ""},
		`null`:                               {400, "malformed", ""},
		`"live"`:                             {400, "malformed", ""},
		`{} {}`:                              {400, "malformed", ""},
		`{"service":7}`:                      {422, "invalid", "/service"},
		`{"service":["live"]}`:               {422, "invalid", "/service"},
		`{"service":"a\nb"}`:                 {422, "invalid", "/service"},
		`{"service":"` + long(257) + `"}`:    {422, "invalid", "/service"},
		`{"user_agent":"` + "a\u0000" + `"}`: {400, "malformed", ""},
		`{"user_agent":"a\u0000"}`:           {422, "invalid", "/user_agent"},
		`{"ip4_address":"2001:db8::1"}`:      {422, "invalid", "/ip4_address"},
		`{"ip4_address":"192.0.2"}`:          {422, "invalid", "/ip4_address"},
		`{"ip6_address":"192.0.2.1"}`:        {422, "invalid", "/ip6_address"},
		`{"ip6_address":"::ffff:192.0.2.1"}`: {422, "invalid", "/ip6_address"},
		`{"ip6_address":"fe80::1%eth0"}`:     {422, "invalid", "/ip6_address"},
		`{"multi_stream":"yes"}`:             {422, "invalid", "/multi_stream"},
		`{"terminate":"x"}`:                  {422, "invalid", "/terminate"},
		`{"terminate":["` + strings.Repeat(`a","`, 8) + `b"]}`: {422, "invalid", ""},
		`{"terminate":["` + long(2049) + `"]}`:                 {422, "invalid", ""},
		`{"id":"` + long(129) + `"}`:                           {422, "invalid", "/id"},
		`{"id":".."}`:                                          {422, "invalid", "/id"},
		`{"id":"b.AAAAAAAAAAAAAAAA.x"}`:                        {422, "invalid", "/id"},
		`{"data":7}`:                                           {422, "invalid", "/data"},
		`{"data":[]}`:                                          {422, "invalid", "/data"},
		`{"data":{}}`:                                          {422, "invalid", "/data/type"},
		`{"data":null}`:                                        {422, "invalid", "/data/type"},
		`{"data":{"type":"mediaPlaySession"}}`:                 {409, "type-conflict", "/data/type"},
		`{"data":{"type":"MediaPlaySession","attributes":[]}}`: {422, "invalid", "/data/attributes"},
		`{"data":{"type":"MediaPlaySession","attributes":{"device_type":1}}}`:                {422, "invalid", "/data/attributes/device_type"},
		`{"data":{"type":"MediaPlaySession","id":7}}`:                                        {422, "invalid", "/data/id"},
		`{"service":"` + long(64<<10) + `"}`:                                                 {413, "too-large", ""},
		`{"data":` + strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000) + `}`:         {400, "malformed", ""},
		`{"data":{"type":"MediaPlaySession","id":"one","attributes":{"service":"live"}}}  x`: {400, "malformed", ""},
	} {
		a := h.refused(want.status, want.code, "POST", annsPath, body)
		source, _ := a.body["errors"].([]any)[0].(map[string]any)["source"].(map[string]any)
		if got, _ := source["pointer"].(string); got != want.pointer {
			t.Errorf("%.80s: pointer %q, want %q", body, got, want.pointer)
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/xml", "json", "*/*"} {
		h.refused(415, "unsupported-media-type", "POST", annsPath, `{"service":"live"}`, "Content-Type", kind)
	}
	if a := h.want(201, "POST", annsPath, `{"user_agent":"`+strings.Repeat("ä", 200)+`"}`); a.attribute("user_agent") != strings.Repeat("ä", 128) {
		t.Errorf("%v", a.attribute("user_agent"))
	}
	if n := len(h.want(200, "GET", annsPath, "").ids()); n != 1 {
		t.Errorf("%d sessions were made", n)
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func FuzzPlay(f *testing.F) {
	for _, s := range []string{`{}`, `{"service":"live","ip4_address":"192.0.2.7","terminate":["a,b"]}`, `{"data":{"type":"MediaPlaySession","id":"x","attributes":{"multi_stream":true}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, bad := parsePlay(body)
		if bad != nil {
			if bad.status != 400 && bad.status != 422 && bad.status != 409 || bad.detail == "" {
				t.Errorf("%+v", bad)
			}
			return
		}
		if _, err := session.ParseID(string(p.ID)); p.ID != "" && err != nil {
			t.Error(err)
		}
		for _, s := range []string{p.Service, p.DeviceID, p.DeviceType, p.Agent} {
			if says := textFault(s, maxText); says != "" {
				t.Errorf("%q %s", s, says)
			}
		}
		if len(p.Terminate) > maxTerminate || p.Address.Is4In6() || p.Address.Zone() != "" {
			t.Errorf("%+v", p)
		}
	})
}

// Over the limit the seed's clients and JSON:API's read the same answer.
func TestAppTooMany(t *testing.T) {
	h := newHouse(t, gate.Options{Limits: []gate.Limit{{Per: gate.PerUser, DeviceType: "stb", Max: 1}}})
	first := h.want(201, "POST", annsPath, `{"device_type":"stb"}`)
	a := h.refused(403, "too-many-sessions", "POST", annsPath, `{"device_type":"stb"}`)
	if a.body["title"] != "Too many sessions" || a.body["conflicts"] != nil {
		t.Errorf("%s", a.Body)
	}
	h.want(201, "POST", annsPath, `{"device_type":"mobile"}`)
	h.want(201, "POST", "/api/v1/users/bob/media_play_sessions", `{"device_type":"stb"}`)
	h.want(204, "DELETE", annsPath+"/"+first.id(), "")
	h.want(201, "POST", annsPath, `{"device_type":"stb"}`)
}

// The user is shown what stands in the way, and chooses.
func TestAppChoose(t *testing.T) {
	h := newHouse(t, gate.Options{Limits: []gate.Limit{{Per: gate.PerUser, Max: 2}}, OnLimit: session.Choose})
	one := h.want(201, "POST", annsPath, `{"service":"live","device_type":"stb","user_agent":"Box"}`)
	h.want(201, "POST", annsPath, `{"service":"vod","device_type":"mobile"}`)
	for turn, how := range []string{"header", "attribute"} {
		a := h.refused(409, "choose", "POST", annsPath, `{"service":"new"}`)
		list, _ := a.body["conflicts"].([]any)
		if len(list) != 2 {
			t.Fatalf("%s", a.Body)
		}
		meta := a.body["errors"].([]any)[0].(map[string]any)["meta"].(map[string]any)["conflicts"]
		if !reflect.DeepEqual(meta, a.body["conflicts"]) {
			t.Errorf("not the same twice: %s", a.Body)
		}
		victim := list[0].(map[string]any)
		if turn == 0 && (victim["id"] != one.id() || victim["device_type"] != "stb" || victim["service"] != "live" || victim["user_agent"] != "Box" || victim["play_started_timestamp"].(float64) == 0) {
			t.Errorf("%v", victim)
		}
		code := victim["termination_code"].(string)
		if how == "header" {
			h.refused(409, "choose", "PUT", annsPath+"/mine", "", "X-Terminate", "forged")
			h.want(201, "PUT", annsPath+"/mine", "", "X-Terminate", "forged , "+code)
		} else {
			h.want(201, "POST", annsPath, `{"terminate":["`+code+`"]}`)
		}
		h.refused(410, "ended", "PATCH", annsPath+"/"+victim["id"].(string), "")
		h.refused(410, "ended", "GET", annsPath+"/"+victim["id"].(string), "")
	}
	const bobs = "/api/v1/users/bob/media_play_sessions"
	h.want(201, "POST", bobs, "")
	h.want(201, "POST", bobs, "")
	code := h.refused(409, "choose", "POST", annsPath, "").body["conflicts"].([]any)[0].(map[string]any)["termination_code"].(string)
	h.refused(409, "choose", "POST", bobs, "", "X-Terminate", code)
	if got := h.want(200, "GET", annsPath, "").ids(); len(got) != 2 {
		t.Errorf("another user's code ends sessions: %q", got)
	}
}

func TestAppPut(t *testing.T) {
	h := newHouse(t, gate.Options{})
	h.want(201, "PUT", annsPath+"/it%27s%20%2F%20mine", `{"service":"live","device_type":"stb"}`)
	a := h.want(200, "PUT", annsPath+"/it%27s%20%2F%20mine", `{"data":{"type":"MediaPlaySession","id":"it's / mine"}}`)
	if a.id() != "it's / mine" || a.Header().Get("Location") != "" || a.attribute("service") != "live" {
		t.Errorf("%v %s", a.Header(), a.Body)
	}
	self := a.data()["links"].(map[string]any)["self"].(string)
	u, err := url.Parse(self)
	if err != nil {
		t.Fatal(err)
	}
	h.want(200, "GET", u.EscapedPath(), "")
	h.refused(409, "device-type-conflict", "PUT", annsPath+"/it%27s%20%2F%20mine", `{"device_type":"mobile"}`)
	h.refused(409, "device-type-conflict", "PATCH", annsPath+"/it%27s%20%2F%20mine", `{"device_type":"mobile"}`)
	h.refused(409, "id-conflict", "PUT", annsPath+"/x", `{"id":"y"}`)
	h.refused(409, "id-conflict", "PATCH", annsPath+"/it%27s%20%2F%20mine", `{"id":"y"}`)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		h.refused(404, "not-found", method, "/api/v1/users/bob/media_play_sessions/it%27s%20%2F%20mine", "")
	}
	h.refused(404, "not-found", "PATCH", annsPath+"/none", "")
	for _, id := range []string{"%2e%2e", "%ff", "a%0ab", strings.Repeat("a", 129), "b.AAAAAAAAAAAAAAAA.x"} {
		h.refused(422, "invalid", "PUT", annsPath+"/"+id, "")
		h.refused(404, "not-found", "GET", annsPath+"/"+id, "")
	}
	for _, user := range []string{"%2e", "%ff", strings.Repeat("a", 257), "a%00"} {
		h.refused(422, "invalid", "GET", "/api/v1/users/"+user+"/media_play_sessions", "")
	}
	h.refused(404, "not-found", "DELETE", "/api/v1/media_play_sessions/%ff", "")
	for _, path := range []string{"/api/v1/users//media_play_sessions", "/api/v1/", "/api/v2/", annsPath + "/", annsPath + "/a/b"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawPath = path, path
		rec := httptest.NewRecorder()
		h.handler.ServeHTTP(rec, r)
		if rec.Code != 404 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

// Who may see and change what.
func TestAppTokens(t *testing.T) {
	h := newHouse(t, gate.Options{})
	ann, bob := "Bearer "+userToken(t, "ann"), "bearer  "+userToken(t, "bob")
	const bobs = "/api/v1/users/bob/media_play_sessions"
	mine := h.want(201, "POST", annsPath, "", "Authorization", ann)
	his := h.want(201, "POST", bobs, "", "Authorization", bob)
	for _, one := range []struct{ method, path string }{{"GET", bobs}, {"POST", bobs}, {"GET", bobs + "/" + his.id()}, {"PATCH", bobs + "/" + his.id()},
		{"PUT", bobs + "/" + his.id()}, {"DELETE", bobs + "/" + his.id()}, {"PUT", bobs + "/new"}} {
		h.refused(403, "not-allowed", one.method, one.path, "", "Authorization", ann)
	}
	h.refused(404, "not-found", "DELETE", "/api/v1/media_play_sessions/"+his.id(), "", "Authorization", ann)
	h.refused(404, "not-found", "GET", annsPath+"/"+his.id(), "", "Authorization", ann)
	h.refused(404, "not-found", "PUT", annsPath+"/"+his.id(), "", "Authorization", ann)
	h.want(200, "GET", bobs+"/"+his.id(), "")
	h.want(204, "DELETE", "/api/v1/media_play_sessions/"+mine.id(), "", "Authorization", ann)
	h.want(204, "DELETE", "/api/v1/media_play_sessions/"+his.id(), "")
	altered := userToken(t, "ann")
	altered = altered[:len(altered)-10] + "AAAAAAAAAA"
	for _, c := range []struct{ field, code string }{
		{"", "token-required"}, {appToken, "token-required"}, {"Basic " + appToken, "token-required"},
		{"Bearer", "token-invalid"}, {"Bearer " + appToken + "x", "token-invalid"}, {"Bearer " + altered, "token-invalid"},
		{"Bearer " + strings.Repeat("a", 9000), "token-invalid"},
	} {
		a := h.refused(401, c.code, "GET", annsPath, "", "Authorization", c.field)
		if got := a.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="earshot"`) || strings.Contains(got, "invalid_token") != (c.code == "token-invalid") {
			t.Errorf("%q: %q", c.field, got)
		}
	}
}

// Where a device is, it shows; only a server is believed where its users are.
func TestAppAddresses(t *testing.T) {
	h := newHouse(t, gate.Options{})
	const forged = `{"ip4_address":"198.51.100.9"}`
	ann := "Bearer " + userToken(t, "ann")
	own := h.want(201, "POST", annsPath, forged, "Authorization", ann, "User-Agent", "Phone/1", "from", "[2001:db8::5]:9")
	if own.attribute("ip6_address") != "2001:db8::5" || own.attribute("ip4_address") != nil || own.attribute("user_agent") != "Phone/1" {
		t.Errorf("%s", own.Body)
	}
	if a := h.want(200, "PATCH", annsPath+"/"+own.id(), forged, "Authorization", ann); a.attribute("ip4_address") != nil {
		t.Errorf("%s", a.Body)
	}
	apps := h.want(201, "POST", annsPath, forged, "User-Agent", "backend/1")
	if apps.attribute("ip4_address") != "198.51.100.9" || apps.attribute("user_agent") != "" {
		t.Errorf("%s", apps.Body)
	}
	if a := h.want(201, "POST", annsPath, ""); a.attribute("ip4_address") != nil || a.attribute("ip6_address") != nil {
		t.Errorf("a server's address is taken for a listener's: %s", a.Body)
	}
}

// What really plays appears by itself, with what only the edge knows; and ends when it is deleted.
func TestAppSeesWhatPlays(t *testing.T) {
	h := newHouse(t, gate.Options{})
	key := session.Key{ID: "player-1", Group: "news"}
	_, err := h.live.Claim(t.Context(), &session.Claim{TTL: time.Minute, Seat: session.Seat{Key: key, Kind: session.HLS, Edge: "here", UserID: "ann",
		Address: netip.MustParseAddr("192.0.2.77"), Agent: "hls.js", Owner: "ann//x"}})
	if err != nil {
		t.Fatal(err)
	}
	if a := h.want(200, "GET", annsPath+"/player-1", ""); a.attribute("stream") != "news" || a.attribute("bytes") != nil || a.attribute("service") != "" {
		t.Errorf("%s", a.Body)
	}
	live := listen.NewLive(1, 0)
	tr := h.book.Account(listen.Who{Key: key, Kind: session.HLS}).Open(listen.Body{Stream: "news/low", Length: -1, Placer: live})
	live.Wrote(48_000, int64(3500*time.Millisecond))
	tr.Wrote(48_000)
	tr.Arrived()
	a := h.want(200, "GET", annsPath+"/player-1", "")
	if a.attribute("bytes") != 48_000. || a.attribute("duration") != 3.5 {
		t.Errorf("%s", a.Body)
	}
	h.want(204, "DELETE", "/api/v1/media_play_sessions/player-1", "")
	h.refused(410, "ended", "PUT", annsPath+"/player-1", "")
	h.refused(410, "ended", "DELETE", "/api/v1/media_play_sessions/player-1", "")
}

func TestAppPages(t *testing.T) {
	h := newHouse(t, gate.Options{})
	var want []string
	for i := range 25 {
		want = append(want, h.want(201, "PUT", annsPath+fmt.Sprintf("/s%02d", i*7%25), "").id())
	}
	slices.Sort(want)
	var got []string
	next := annsPath + "?page[size]=10"
	for pages := 0; next != ""; pages++ {
		a := h.want(200, "GET", next, "")
		if n := len(a.ids()); n > 10 || pages > 5 {
			t.Fatalf("%d on page %d", n, pages)
		}
		got = append(got, a.ids()...)
		next, _ = a.body["links"].(map[string]any)["next"].(string)
		next = strings.TrimPrefix(next, "https://edge.example")
		h.want(204, "DELETE", annsPath+"/"+a.ids()[len(a.ids())-1], "") // what the next page begins after need not be there
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, query := range []string{"page[size]=0", "page[size]=1001", "page[size]=x", "page[after]=!", "page[after]=" + url.QueryEscape("zzzzzzzz"), "%zz"} {
		h.refused(400, "malformed", "GET", annsPath+"?"+query, "")
	}
}

// An id that plays two streams is one session to an app, and is shown once.
func TestAppShowsAnIDOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Options{})
		for _, group := range []string{"news", "sport"} {
			if _, err := h.live.Claim(t.Context(), &session.Claim{TTL: time.Minute, Seat: session.Seat{Key: session.Key{ID: "one", Group: group}, UserID: "ann"}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		a := h.want(200, "GET", annsPath, "")
		list := a.body["data"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["attributes"].(map[string]any)["stream"] != "sport" {
			t.Errorf("%s", a.Body)
		}
	})
}

func TestAppMediaTypes(t *testing.T) {
	h := newHouse(t, gate.Options{})
	for _, c := range []struct{ field, value, want string }{
		{"Accept", "application/vnd.api+json", jsonAPI}, {"Accept", "text/html, application/vnd.api+json;q=0.9", jsonAPI},
		{"Accept", "*/*", plainJSON}, {"Accept", "application/json", plainJSON}, {"Content-Type", "application/vnd.api+json", jsonAPI}, {"X", "", plainJSON},
	} {
		for _, a := range []answer{h.want(200, "GET", annsPath, "", c.field, c.value), h.refused(404, "not-found", "GET", annsPath+"/none", "", c.field, c.value)} {
			if got := a.Header().Get("Content-Type"); got != c.want {
				t.Errorf("%s %s: %s", c.field, c.value, got)
			}
		}
	}
}

// A page's script may ask, and read what it is answered.
func TestAppInBrowsers(t *testing.T) {
	h := newHouse(t, gate.Options{})
	all := map[string]string{
		annsPath:                        "GET, HEAD, POST, OPTIONS",
		annsPath + "/x":                 "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
		"/api/v1/media_play_sessions/x": "DELETE, OPTIONS",
		"/api/v1/openapi.json":          "GET, HEAD, OPTIONS",
	}
	for path, methods := range all {
		a := h.want(204, "OPTIONS", path, "", "Authorization", "", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT")
		for field, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": methods,
			"Access-Control-Allow-Headers": "Authorization, Content-Type, X-Terminate", "Access-Control-Allow-Credentials": "", "Allow": methods} {
			if got := a.Header().Get(field); got != want {
				t.Errorf("%s: %s %q, want %q", path, field, got, want)
			}
		}
		a = h.refused(405, "method-not-allowed", "BREW", path, "")
		if a.Header().Get("Allow") != methods || a.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v", path, a.Header())
		}
	}
	for _, a := range []answer{h.ask("GET", annsPath, ""), h.ask("GET", annsPath, "", "Authorization", ""), h.ask("POST", annsPath, "")} {
		if a.Header().Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header().Get("Access-Control-Expose-Headers"), "Location") ||
			a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d: %v", a.Code, a.Header())
		}
	}
	a := h.want(200, "HEAD", annsPath, "")
	if a.Body.Len() != 0 {
		t.Errorf("%s", a.Body)
	}
}

// One token's flood is nobody else's.
func TestAppRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Options{})
		ann, bob := "Bearer "+userToken(t, "ann"), "Bearer "+userToken(t, "bob")
		flood := func(n int, fields ...string) (answered int) {
			for range n {
				a := h.ask("GET", annsPath, "", fields...)
				if a.Code != 429 {
					answered++
				} else if a.Header().Get("Retry-After") == "" || a.Header().Get("Retry-After") == "0" {
					t.Errorf("Retry-After %q", a.Header().Get("Retry-After"))
				}
			}
			return answered
		}
		if n := flood(80, "Authorization", ann); n != 50 {
			t.Errorf("%d of a user's", n)
		}
		h.refused(429, "rate-limited", "GET", annsPath, "", "Authorization", ann)
		h.want(200, "GET", "/api/v1/users/bob/media_play_sessions", "", "Authorization", bob)
		if n := flood(150); n != 100 {
			t.Errorf("%d of an app's", n)
		}
		time.Sleep(time.Minute)
		if n := flood(80, "Authorization", ann); n != 50 {
			t.Errorf("%d of a user's a minute later", n)
		}
		time.Sleep(3 * time.Second)
		if n := flood(80, "Authorization", ann); n != 10 {
			t.Errorf("%d of a user's three seconds later", n)
		}
		if n := flood(80, "Authorization", "Bearer guess", "from", "[2001:db8::1]:9"); n != 50 {
			t.Errorf("%d guesses", n)
		}
		if n := flood(1, "from", "[2001:db8::2]:9"); n != 0 {
			t.Errorf("whoever guesses learns of it, from the same /64")
		}
		if n := flood(1, "from", "[2001:db8:1::2]:9"); n != 1 {
			t.Errorf("another address is shut out")
		}
	})
}

var errGone = fmt.Errorf("%w: dial tcp 10.1.2.3:6379: connection refused", session.ErrLive)

// outage is a live table that cannot be reached.
type outage struct{ session.Live }

func (outage) Claim(_ context.Context, _ *session.Claim) (session.Answer, error) {
	return session.Answer{}, errGone
}
func (outage) Seats(_ context.Context, _ string, _ session.ID, _ int) ([]session.Seat, error) {
	return nil, errGone
}

func TestAppWithoutTable(t *testing.T) {
	for policy, status := range map[gate.LiveError]int{gate.LiveAllow: 201, gate.LiveDeny: 503} {
		h := newHouse(t, gate.Options{Live: outage{session.NewMemory(10)}, OnLiveError: policy})
		if a := h.want(status, "POST", annsPath, ""); status == 503 && a.Header().Get("Retry-After") == "" {
			t.Errorf("%v", a.Header())
		}
		a := h.refused(503, "unavailable", "GET", annsPath, "")
		if strings.Contains(a.Body.String(), "10.1.2.3") || a.Header().Get("Retry-After") == "" {
			t.Errorf("%v %s", a.Header(), a.Body)
		}
	}
}

func TestAppMetrics(t *testing.T) {
	h := newHouse(t, gate.Options{})
	h.ask("POST", annsPath, "")
	h.ask("GET", annsPath+"/none", "")
	h.ask("GET", "/api/v1/../x", "")
	want := `# HELP earshot_api_requests_total Requests to the app API, by what was asked for and the status answered.
# TYPE earshot_api_requests_total counter
earshot_api_requests_total{operation="make",status="201"} 1
earshot_api_requests_total{operation="other",status="404"} 1
earshot_api_requests_total{operation="show",status="404"} 1
`
	if err := testutil.GatherAndCompare(h.reg, strings.NewReader(want), "earshot_api_requests_total"); err != nil {
		t.Error(err)
	}
}

// A document's texts come from clients, and are JSON whatever they hold.
func TestAppHostileTexts(t *testing.T) {
	h := newHouse(t, gate.Options{})
	for _, text := range []string{`</script>"'<`, "日本語 🎧", `\u0000`, "%00%0d%0a"} {
		body, err := json.Marshal(map[string]string{"service": text, "device_id": text, "id": text})
		if err != nil {
			t.Fatal(err)
		}
		a := h.want(201, "POST", annsPath, string(body))
		if a.id() != text || a.attribute("service") != text || a.attribute("device_id") != text {
			t.Errorf("%q: %s", text, a.Body)
		}
		if loc := a.Header().Get("Location"); strings.ContainsAny(loc, "\r\n\"<> ") {
			t.Errorf("%q", loc)
		}
	}
}
