package playlist

import (
	"net/url"
	"testing"
)

func TestResource(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/a/b.ts":      "http://h/a/b.ts",
		"HTTP://H:80/a.ts#f":   "http://h/a.ts",
		"https://H:443":        "https://h/",
		"http://h:443/":        "http://h:443/",
		"http://u:p@h/a":       "http://h/a",
		"http://h/a?earshot=1": "http://h/a",
		"http://h/a?":          "http://h/a",
		"http://h/a?b=1&X-Playback-Session-Id=2&CMCD=x&c;d=%zz": "http://h/a?b=1&c;d=%zz",
		"http://h/a%2Fb/%41(1)":                                 "http://h/a%2Fb/%41(1)",
		"http://h/a b/{c}":                                      "http://h/a%20b/%7Bc%7D",
		"http://h/{c}%2Fd":                                      "http://h/%7Bc%7D%2Fd",
		"http://h/a?q=a b'é":                                    "http://h/a?q=a%20b%27%C3%A9",
		"http://[::1]:8000/a":                                   "http://[::1]:8000/a",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := Resource(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		again, err := url.Parse(want)
		if err != nil || Resource(again) != want {
			t.Errorf("%s is not stable: %v", want, err)
		}
	}
}

// TestResourceOfRequest: what a playlist names and what a server reads from the request for it agree.
func TestResourceOfRequest(t *testing.T) {
	r := newResolver(mustURL(t, "http://h/dir/index.m3u8"))
	for ref, request := range map[string]string{
		"a.ts": "/dir/a.ts", "a b.ts": "/dir/a%20b.ts", "a(1).ts?x=1": "/dir/a(1).ts?x=1&earshot=2", "./é.ts": "/dir/%C3%A9.ts",
		"%41%2fb.ts": "/dir/%41%2fb.ts", "x?q=a b": "/dir/x?q=a%20b", "../y;z=1/,.ts": "/y;z=1/,.ts", "q?": "/dir/q?", "a'b*!.ts": "/dir/a'b*!.ts",
	} {
		u, err := url.ParseRequestURI(request)
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme, u.Host = "http", "h"
		if got, want := r.resource(ref), Resource(u); got != want {
			t.Errorf("%q is %s, and %s when asked for", ref, got, want)
		}
	}
}

func TestStripQuery(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a=1": "a=1", "earshot=1": "", "a=1&earshot=1": "a=1", "earshot=1&a=1": "a=1", "a&earshot&b": "a&b",
		"&earshot=1": "", "earshot=1&": "", "&&earshot=1&": "&&", "a=b;earshot=1": "a=b;earshot=1", "earshots=1": "earshots=1",
		"Earshot=1": "Earshot=1", "%65%61rshot=1&b=%zz": "b=%zz", "earshot%3D=1": "earshot%3D=1", "earshot=1&earshot=2": "",
	} {
		if got := StripQuery(in, GrantParam); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestResolve holds the examples of RFC 3986, 5.4, and what differs on purpose.
func TestResolve(t *testing.T) {
	r := newResolver(mustURL(t, "http://a/b/c/d;p?q"))
	for ref, want := range map[string]string{
		"g:h": "", "g": "http://a/b/c/g", "./g": "http://a/b/c/g", "g/": "http://a/b/c/g/", "/g": "http://a/g", "//g": "http://g/",
		"?y": "http://a/b/c/d;p?y", "g?y": "http://a/b/c/g?y", "#s": "http://a/b/c/d;p?q", "g#s": "http://a/b/c/g", "g?y#s": "http://a/b/c/g?y",
		";x": "http://a/b/c/;x", "g;x": "http://a/b/c/g;x", "g;x?y#s": "http://a/b/c/g;x?y", "": "http://a/b/c/d;p?q", ".": "http://a/b/c/",
		"./": "http://a/b/c/", "..": "http://a/b/", "../": "http://a/b/", "../g": "http://a/b/g", "../..": "http://a/", "../../": "http://a/",
		"../../g": "http://a/g", "../../../g": "http://a/g", "/./g": "http://a/g", "/../g": "http://a/g", "g.": "http://a/b/c/g.",
		".g": "http://a/b/c/.g", "g..": "http://a/b/c/g..", "..g": "http://a/b/c/..g", "./../g": "http://a/b/g", "./g/.": "http://a/b/c/g/",
		"g/./h": "http://a/b/c/g/h", "g/../h": "http://a/b/c/h", "g;x=1/./y": "http://a/b/c/g;x=1/y", "g;x=1/../y": "http://a/b/c/y",
		"g?y/./x": "http://a/b/c/g?y/./x", "g?y/../x": "http://a/b/c/g?y/../x", "g#s/../x": "http://a/b/c/g",
		"http:g": "", "%2e%2E/g": "http://a/b/g", "g\th": "http://a/b/c/gh", "1:g": "http://a/b/c/1:g", "http://x:y z/": "", "http://[/": "",
	} {
		if got := r.resource(ref); got != want {
			t.Errorf("%q: %q, want %q", ref, got, want)
		}
	}
}
