package main

import (
	"testing"

	"earshot/config"
)

// TestNeedsUser: a token without a user is nobody's where users are counted, and where the operator says which claim names them.
func TestNeedsUser(t *testing.T) {
	const jwt, named, counted = "auth: {jwt: {secret: 0123456789abcdef", ", user: sub", "limits: [{per: user, max: 1}]\n"
	for text, want := range map[string]bool{
		jwt + "}}\n":         false,
		jwt + named + "}}\n": true,
		jwt + "}}\nlimits: [{per: address, max: 1}, {per: device, max: 1}]\n":            false,
		jwt + "}}\nlimits: [{per: address, max: 1}, {per: user, group: news, max: 1}]\n": true,
		jwt + "}, callback: {url: 'http://backend/'}}\n" + counted:                       false, // which may say who he is
		jwt + named + "}, callback: {url: 'http://backend/'}}\n" + counted:               true,
	} {
		cfg, err := config.Parse("a.yaml", []byte("streams: [{stream: a, path: /a, icy: 'http://icecast/a'}]\n"+text), nil)
		if err != nil {
			t.Fatal(text, err)
		}
		if got := needsUser(cfg); got != want {
			t.Errorf("%s%v", text, got)
		}
	}
}
