package proxy

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestAddress(t *testing.T) {
	trusted := TrustedProxies{Header: "X-Forwarded-For",
		Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct {
		peer, want string
		header     []string
	}{
		{"192.0.2.1:5", "192.0.2.1", nil},
		{"192.0.2.1:5", "192.0.2.1", []string{"198.51.100.7"}}, // from a stranger: hearsay
		{"127.0.0.1:5", "127.0.0.1", nil},
		{"127.0.0.1:5", "198.51.100.7", []string{"198.51.100.7"}},
		{"127.0.0.1:5", "198.51.100.7", []string{"6.6.6.6, 198.51.100.7"}}, // the left one is the client's own claim
		{"127.0.0.1:5", "198.51.100.7", []string{"6.6.6.6", "198.51.100.7, 10.1.1.1"}},
		{"127.0.0.1:5", "10.9.9.9", []string{"10.9.9.9,10.1.1.1"}},
		{"127.0.0.1:5", "127.0.0.1", []string{"unknown"}},
		{"127.0.0.1:5", "10.1.1.1", []string{"rubbish, 10.1.1.1"}},
		{"127.0.0.1:5", "2001:db8::1", []string{"[2001:db8::1]:4711"}},
		{"[::ffff:192.0.2.9]:5", "192.0.2.9", nil},
		{"[fe80::1%eth0]:5", "fe80::1", nil},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for _, v := range c.header {
			r.Header.Add("X-Forwarded-For", v)
		}
		if got := trusted.address(r).String(); got != c.want {
			t.Errorf("peer %s, header %q: %s, want %s", c.peer, c.header, got, c.want)
		}
	}
}

func TestCMCDSession(t *testing.T) {
	for list, want := range map[string]string{
		`sid="6e2fb550-c457-11e9-bb97-0800200c9a66"`: "6e2fb550-c457-11e9-bb97-0800200c9a66",
		`cid="a,b=\"c",bs,pr=1.5, sid="x\"y",v=1`:    `x"y`,
		`bs,sid="z"`:       "z",
		`sid=token`:        "",
		`xsid="no"`:        "",
		`cid="sid=\"no\""`: "",
		`sid="unclosed`:    "unclosed",
		``:                 "",
		`,,,`:              "",
		`=`:                "",
	} {
		if got := cmcdSession(list); got != want {
			t.Errorf("%s: %q, want %q", list, got, want)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("X-Playback-Session-Id=1&CMCD=sid%3D%22a%22", `sid="x"`)
	f.Fuzz(func(t *testing.T, query, list string) {
		queryOf(query)
		cmcdSession(list)
	})
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{"": false, "gzip": true, "GZIP, br": true, "br": false, "gzip;q=0": false, "gzip; q=0.0": false,
		"gzip;q=0.5": true, "*": true, "*;q=0": false, "gzip;q=0, *": false, "identity": false, "deflate, gzip;q=1.0": true,
		"x-gzip": true, "gzip;Q=0": false, "gzip;\tq=0": false, "gzip;x=1;q=0": false, "gzip;q=x": false, "*;q=0, gzip": true} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestIPPolicy(t *testing.T) {
	for _, c := range []struct {
		policy   IPPolicy
		ip, want string
	}{
		{FullIP, "192.0.2.77", "192.0.2.77"}, {TruncateIP, "192.0.2.77", "192.0.2.0"}, {NoIP, "192.0.2.77", ""},
		{TruncateIP, "2001:db8:1:2::3", "2001:db8:1::"}, {FullIP, "2001:db8::1", "2001:db8::1"},
	} {
		if got := c.policy.Apply(netip.MustParseAddr(c.ip)); got != c.want {
			t.Errorf("%s of %s: %q", c.policy, c.ip, got)
		}
	}
}
