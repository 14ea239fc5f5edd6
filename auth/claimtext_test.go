package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestBadClaimIsNamed: whoever signs tokens that say nonsense is told which claim; whoever forges them is not.
func TestBadClaimIsNamed(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret}})
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   string
	}{
		"streams null": {jwt.MapClaims{"streams": nil}, "claim streams is neither a text nor a list"},
		"streams list": {jwt.MapClaims{"streams": []int{1}}, "claim streams holds what is no text"},
		"user":         {jwt.MapClaims{"sub": 1.5}, "claim sub is no text"},
		"exp":          {jwt.MapClaims{"exp": "tomorrow"}, "claim exp is no time in Unix seconds"},
	} {
		var no *Refusal
		if _, err := a.Admit(t.Context(), request(hs(t, c.claims))); !errors.As(err, &no) || no.Code != TokenInvalid || !strings.Contains(no.Detail, c.want) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.want)
		}
		forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c.claims).SignedString([]byte(strings.Repeat("x", 32)))
		must(t, err)
		if _, err := a.Admit(t.Context(), request(forged)); !errors.As(err, &no) || no.Detail != "the token is not valid" {
			t.Errorf("%s, forged: %v", name, err)
		}
	}
}
