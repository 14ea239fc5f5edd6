package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"earshot/gate"
	"earshot/session"
)

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
		"as curl -d has it":   {`{` + attrs + `}`, "application/x-www-form-urlencoded"},
		"as fetch has it":     {`{"data":{"type":"MediaPlaySession","attributes":{` + attrs + `}}}`, "text/plain;charset=UTF-8"},
		"as bytes":            {`{` + attrs + `}`, "application/octet-stream"},
		"another JSON":        {`{` + attrs + `}`, "application/problem+json"},
		"a type that is none": {`{` + attrs + `}`, "json"},
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
	if a := h.want(200, "PATCH", annsPath+"/chosen-1", `{"service":"live"}`); a.attribute("device_type") != "mobile" || a.attribute("service") != "live" {
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
	h.refused(400, "malformed", "POST", annsPath, "service=live&device_type=stb", "Content-Type", "application/x-www-form-urlencoded")
	for _, kind := range []string{"application/json; charset=latin1", "application/xml", "text/xml; charset=utf-8", "application/soap+xml", "multipart/form-data; boundary=x",
		"multipart/form-data; boundary", "text/html", "image/png", "application/x-protobuf", "text/plain; charset=utf-16"} {
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
