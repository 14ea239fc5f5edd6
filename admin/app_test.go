package admin

import (
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
		code := victim["code"].(string)
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
	code := h.refused(409, "choose", "POST", annsPath, "").body["conflicts"].([]any)[0].(map[string]any)["code"].(string)
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
	for _, query := range []string{"page[size]=0", "page[size]=1001", "page[size]=x", "page[after]=!", "page[after]=" + url.QueryEscape("zzzzzzzz"), "%zz",
		"page[number]=2", "page%5Boffset%5D=10", "page=2", "sort=-play_started_timestamp", "filter[device_type]=stb", "include=user"} {
		h.refused(400, "malformed", "GET", annsPath+"?"+query, "")
	}
}

// A user is called what he is called: what stands in the path escaped is he, in every answer's links too.
func TestAppUserNames(t *testing.T) {
	h := newHouse(t, gate.Options{})
	for _, user := range []string{"a/b", "ann@example.com", "日本 🎧", "50%", "a+b", "a b", "?x=1#y", "urn:user:7", "a;b=c", "%2F", "...", strings.Repeat("ü", 128)} {
		path := "/api/v1/users/" + url.PathEscape(user) + "/media_play_sessions"
		for _, bearer := range []string{appToken, userToken(t, user)} {
			made := h.want(201, "POST", path, `{"service":"live"}`, "Authorization", "Bearer "+bearer)
			at, ok := strings.CutPrefix(made.Header().Get("Location"), "https://edge.example")
			if !ok || strings.ContainsAny(at, " \"<>?#") {
				t.Fatalf("Location %q", made.Header().Get("Location"))
			}
			if one := h.want(200, "GET", at, "", "Authorization", "Bearer "+bearer); one.id() != made.id() || one.data()["links"].(map[string]any)["self"] != made.Header().Get("Location") {
				t.Errorf("%q: %s", user, one.Body)
			}
			if list := h.want(200, "GET", path, "", "Authorization", "Bearer "+bearer); len(list.ids()) != 1 {
				t.Errorf("%q: %s", user, list.Body)
			}
			h.want(204, "DELETE", at, "", "Authorization", "Bearer "+bearer)
		}
		h.refused(403, "not-allowed", "GET", path, "", "Authorization", "Bearer "+userToken(t, "another"))
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
