package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGuards(t *testing.T) {
	c := parseGood(t, "guards.yaml")
	want := Default()
	want.Streams, want.Secrets = c.Streams, c.Secrets
	want.Live, want.OnLiveError = "rediss://u:hunter2@one:6379,[::1]:6380/0?cluster=true", "last"
	want.Auth = &Auth{
		Tokens: map[string]string{"app": "hunter2hunter2hunter2", "other-app": "t0ken-t0ken-t0ken-t0ken"},
		JWT: &JWT{Secret: "t0ken-t0kent0ken-t0ken", Keys: "testdata/ca.pem", JWKS: "testdata/jwks.json",
			User: "realm.user", Device: "d", DeviceType: "t", Streams: "s", Param: "jwt", Leeway: 5 * time.Second, UserSet: true},
		SignedURL:     &SignedURL{Key: "hunter2hunter2hunter2", Param: "token"},
		Callback:      &Callback{URL: "https://u:hunter2@backend:8443/ask?key=hunter2", Style: "icecast", Timeout: time.Millisecond, OnError: "deny"},
		EnforceExpiry: true,
	}
	want.Limits = []Limit{{Line: 15, Per: "user", Max: 3},
		{Line: 16, Per: "user", DeviceType: "smart tv", Group: "tv-*", Max: 1}, {Line: 17, Per: "edge", Max: 10000}}
	want.OnLimit, want.SeatTTL, want.APISessionTTL, want.Retention.Evidence = "choose", 100*time.Millisecond, day, 0
	want.Geo = "testdata/places.mmdb"
	end := time.Date(2026, 5, 2, 21, 0, 0, 0, time.FixedZone("", -4*3600))
	want.Blackouts = []Blackout{{
		Line: 24, ID: "derby", Streams: []string{"news", "tv-*"},
		Where: Audience{Country: []string{"US"}, Subdivision: []string{"US-CA", "ny"}, Metro: []string{"803"},
			Postal: []string{"90001", "SW1*", "*"}, Network: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Device: []string{"stb"}},
		Except: Audience{Country: []string{"ca"}}, From: time.Date(2026, 5, 2, 18, 0, 0, 0, time.UTC), To: c.Blackouts[0].To,
		Schedule: "not looked at here", Action: "allow", Unknown: "allow", Message: "Not here, earshot",
	}, {Line: 34, ID: "everywhere", Action: "deny", Unknown: "deny"}}
	if !c.Blackouts[0].To.Equal(end) {
		t.Errorf("to %v, want %v", c.Blackouts[0].To, end)
	}
	equal(t, c, want)
	if c.Streams[0].Auth != "none" || c.Streams[1].Auth != "inherit" {
		t.Errorf("auth of the streams: %+v", c.Streams)
	}
}

// Where nothing else is said of an auth that is asked for.
func TestGuardDefaults(t *testing.T) {
	c, err := Parse("a.yaml", []byte(`streams: [{stream: a, path: /a, icy: "http://icecast/a", auth: none}]
auth: {jwt: {jwks: "HTTPS://id.example.com:8443/jwks?a=b"}, signed_url: {key: 0123456789abcdef}, callback: {url: "http://[::1]/"}}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Auth{
		JWT: &JWT{JWKS: "HTTPS://id.example.com:8443/jwks?a=b", User: "sub", Device: "device", DeviceType: "device_type", Streams: "streams",
			Param: "token", Leeway: 30 * time.Second},
		SignedURL: &SignedURL{Key: "0123456789abcdef", Param: "sig"},
		Callback:  &Callback{URL: "http://[::1]/", Style: "json", Timeout: 3 * time.Second, OnError: "last"},
	}
	if !reflect.DeepEqual(c.Auth, want) {
		t.Errorf("got  %+v\nwant %+v", c.Auth, want)
	}
}

// Each parameter that means something to Earshot is refused for a proof, in whatever case; others are not.
func TestParams(t *testing.T) {
	taken := []string{"X-Playback-Session-Id", "earshot", "Earshot", "CMCD", "cmcd", "offset", "expires", "user", "terminate", "_HLS_msn", "", "a b"}
	for _, name := range append(taken, "jwt", "access_token", "users") {
		for _, kind := range []string{"jwt: {secret", "signed_url: {key"} {
			text := fmt.Sprintf("streams: [{stream: a, path: /a, icy: 'http://icecast/a'}]\nauth: {%s: 0123456789abcdef, param: '%s'}}", kind, name)
			if _, err := Parse("a.yaml", []byte(text), nil); (err != nil) != slices.Contains(taken, name) {
				t.Errorf("%s, %q: %v", kind, name, err)
			}
		}
	}
}

func TestLiveURLs(t *testing.T) {
	good := []string{"", "redis://redis", "redis://redis:6379", "redis://redis/", "rediss://u:p%2F@[::1]:7000/15", "redis://a,b:2,[::1]:3",
		"redis://:a@b@c/0", "redis://a?cluster=1", "redis://a/3?cluster=false",
		"rediss://a?ca=testdata/ca.pem", "rediss://a,b?cluster=true&ca=testdata/ca.pem"}
	bad := []string{"redis://", "redis:///0", "redis://:6379", "redis://h/x", "redis://h/1/2", "redis://h h", "redis://h:%zz", "http://redis", "redis",
		"r", "//", "redis:", "redis://@", "redis://?", "redis://u:p@/1", "unix:///run/redis", "redis://a,b/1", "redis://a/1?cluster=true",
		"redis://user@a", "redis://user:@a", "redis://a?db=1", "redis://a?ca=testdata/ca.pem", "rediss://a?ca=", "rediss://a?ca=testdata/none.pem", "rediss://a?ca=testdata/jwks.json",
		"rediss://a?ca=testdata", "rediss://a?ca=testdata/ca.pem&ca=testdata/ca.pem", "rediss://a?cert=testdata/ca.pem", "rediss://a?key=testdata/ca.pem",
		"rediss://a?cert=testdata/ca.pem&key=testdata/ca.pem", "redis://a?cluster=so", "redis://a:0", "redis://a,,b", "redis://a,", "redis://a/-1", "redis://a#b"}
	for _, url := range append(good, bad...) {
		text := "streams: [{stream: a, path: /a, icy: 'http://icecast/a'}]\nsecrets: [{id: a, key: 0123456789abcdef}]\nlive: '" + url + "'"
		if _, err := Parse("a.yaml", []byte(text), nil); (err == nil) != slices.Contains(good, url) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Who uses a value reports what is wrong with it as the package itself would.
func TestProblem(t *testing.T) {
	c := parseGood(t, "guards.yaml")
	for _, p := range []struct {
		err  error
		want string
	}{
		{c.BlackoutProblem(0, "schedule", "is no schedule"), "guards.yaml:30: blackouts[0].schedule: is no schedule"},
		{c.BlackoutProblem(0, "where.country[0]", "is no country"), "guards.yaml:26: blackouts[0].where.country[0]: is no country"},
		{c.BlackoutProblem(0, "nothing.such", "is wrong"), "guards.yaml:24: blackouts[0].nothing.such: is wrong"},
		{c.BlackoutProblem(1, "", "is wrong"), "guards.yaml:34: blackouts[1]: is wrong"},
		{c.BlackoutProblem(1, "schedule", "is missing"), "guards.yaml:34: blackouts[1].schedule: is missing"},
		{c.Problem("auth.jwt.keys", "holds no key"), "guards.yaml:10: auth.jwt.keys: holds no key"},
		{c.Problem("geo", "holds no places"), "guards.yaml:22: geo: holds no places"},
		{c.Problem("listening.slice", "is wrong"), "guards.yaml: listening.slice: is wrong"},
		{c.Problem("", "is wrong"), "guards.yaml: is wrong"},
	} {
		if list := (Errors)(nil); !errors.As(p.err, &list) || p.err.Error() != p.want {
			t.Errorf("got %v, want %s", p.err, p.want)
		}
	}
	if err := (&Config{}).BlackoutProblem(7, "to", "is wrong"); !strings.HasSuffix(err.Error(), "blackouts[7].to: is wrong") {
		t.Error(err)
	}
}
