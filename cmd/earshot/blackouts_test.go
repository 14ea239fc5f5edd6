package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"earshot/blackout"
	"earshot/config"
)

// TestBlackoutsAreCheckedAlike: a rule that an operator adds passes [blackout.Rule.Check] alone. It refuses whatever the configuration does, and takes what that takes.
func TestBlackoutsAreCheckedAlike(t *testing.T) {
	texts := []string{"", " ", "a", "news", "tv-*", "*", "two words", " a", "a ", ".", "..", "a/b", "a\x00", "a\n", "\u202e", "ä", "US", "us", "UK", "uk", "USA", "U1", "US-CA",
		"US-", "-CA", "US-CALI", "C", "CALI", "8 03", "803", "90210", "9*1", "SW1*", "SW1 *", "SW1 1AA", "-1", "1-", "1-*", "**", "deny", "allow", "Deny", "slate"}
	for _, n := range []int{31, 32, 33, 64, 65, 128, 129, 1024, 1025} {
		texts = append(texts, strings.Repeat("x", n), strings.Repeat("x", n-1)+"*")
	}
	places := filepath.Join(t.TempDir(), "places.mmdb")
	if err := os.WriteFile(places, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(to *[]string) func(string) { return func(s string) { *to = []string{s} } }
	for _, text := range texts {
		var r blackout.Rule
		for field, set := range map[string]func(string){
			"id": func(s string) { r.ID = s }, "streams": one(&r.Streams), "where.country": one(&r.Where.Country), "where.subdivision": one(&r.Where.Subdivision),
			"where.metro": one(&r.Where.Metro), "where.postal": one(&r.Where.Postal), "where.device": one(&r.Where.Device), "except.device": one(&r.Except.Device),
			"message": func(s string) { r.Message = s }, "action": func(s string) { r.Action = blackout.Action(s) }, "unknown": func(s string) { r.Unknown = blackout.Action(s) },
		} {
			if text == "" && (field == "action" || field == "unknown") {
				continue // a rule that says nothing has the default
			}
			r = blackout.Rule{ID: "derby"}
			set(text)
			written := strconv.QuoteToASCII(text)
			if in, key, nested := strings.Cut(field, "."); nested {
				written = fmt.Sprintf("%s: {%s: [%s]}", in, key, written)
			} else if field == "streams" {
				written = "streams: [" + written + "]"
			} else {
				written = field + ": " + written
			}
			if field != "id" {
				written = "id: derby, " + written
			}
			_, err := config.Parse("a.yaml", []byte("streams: [{stream: a, path: /a, icy: 'http://icecast/a'}]\ngeo: "+places+"\nblackouts: [{"+written+"}]\n"), nil)
			if mine := r.Check(); (err == nil) != (mine == nil) {
				t.Errorf("%.60s: the configuration says %v; the rule %v", written, err, mine)
			}
		}
	}
	bad := blackout.Rule{ID: "derby", Where: blackout.Audience{Network: []netip.Prefix{{}}}}
	if bad.Check() == nil {
		t.Error("no network is one")
	}
}
