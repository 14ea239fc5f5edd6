package auth

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignedURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, Options{SignedURL: &SignedURL{Key: "k1"}})
		if p := a.Params(); !slices.Equal(p, []string{"sig", "expires", "user"}) {
			t.Error(p)
		}
		const path = "/hls/n%20ws/a.m3u8"
		soon := in(time.Minute)
		query := func(expires any, user, sig string) string {
			return fmt.Sprintf("expires=%v&user=%s&sig=%s", expires, url.QueryEscape(user), sig)
		}
		sig := Sign("k1", path, soon, "ann+é")
		raw, err := base64.RawURLEncoding.DecodeString(sig)
		must(t, err)
		good := query(soon, "ann+é", sig)
		for name, test := range map[string]struct {
			path, query, code string
		}{
			"good":              {path, good, ""},
			"padded":            {path, query(soon, "ann+é", sig+"="), ""},
			"hex":               {path, query(soon, "ann+é", hex.EncodeToString(raw)), ""},
			"HEX":               {path, query(soon, "ann+é", strings.ToUpper(hex.EncodeToString(raw))), ""},
			"among others":      {path, "x=1&" + good + "&y=2", ""},
			"no user":           {path, "expires=" + fmt.Sprint(soon) + "&sig=" + Sign("k1", path, soon, ""), ""},
			"unsigned":          {path, "", TokenRequired},
			"no signature":      {path, "sig=&expires=" + fmt.Sprint(soon), TokenInvalid},
			"another path":      {"/hls/other/a.m3u8", good, TokenInvalid},
			"unescaped":         {"/hls/n ws/a.m3u8", good, TokenInvalid},
			"longer":            {path + "x", good, TokenInvalid},
			"another user":      {path, query(soon, "bob", sig), TokenInvalid},
			"user left out":     {path, "expires=" + fmt.Sprint(soon) + "&sig=" + sig, TokenInvalid},
			"later":             {path, query(soon+1, "ann+é", sig), TokenInvalid},
			"no expiry":         {path, "user=ann&sig=" + sig, TokenInvalid},
			"expired":           {path, query(in(-1), "", Sign("k1", path, in(-1), "")), TokenInvalid},
			"now":               {path, query(in(0), "", Sign("k1", path, in(0), "")), TokenInvalid},
			"never":             {path, query(int64(1)<<60, "", Sign("k1", path, 1<<60, "")), TokenInvalid},
			"another key":       {path, query(soon, "", Sign("k2", path, soon, "")), TokenInvalid},
			"line in the user":  {path, query(soon, "a\nb", Sign("k1", path, soon, "a\nb")), TokenInvalid},
			"long user":         {path, query(soon, strings.Repeat("u", 257), Sign("k1", path, soon, strings.Repeat("u", 257))), TokenInvalid},
			"user twice":        {path, good + "&user=bob", TokenInvalid},
			"expires twice":     {path, good + "&expires=1", TokenInvalid},
			"signature twice":   {path, good + "&sig=x", TokenInvalid},
			"user moved about":  {path, fmt.Sprintf("expires=%d%%0aann%%2b%%c3%%a9&sig=%s", soon, sig), TokenInvalid},
			"a truncated one":   {path, query(soon, "ann+é", sig[:42]), TokenInvalid},
			"signature of zero": {path, query(soon, "ann+é", strings.Repeat("A", 43)), TokenInvalid},
		} {
			r := request("")
			r.Path, r.RawQuery = test.path, test.query
			id, err := a.Admit(t.Context(), r)
			if got := code(t, err); got != test.code {
				t.Errorf("%s: %v", name, err)
			}
			if name == "good" && (id.User != "ann+é" || !id.Expires.Equal(time.Unix(soon, 0))) {
				t.Errorf("%+v", id)
			}
		}
	})
}

// The three lines of shell in docs/auth.md.
func TestSignedByShell(t *testing.T) {
	script := `key=k1 path=/hls/news/a.m3u8 expires=1893456000 user=ann
sig=$(printf '%s\n%s\n%s' "$path" "$expires" "$user" | openssl dgst -sha256 -hmac "$key" -binary | openssl base64 -A | tr '+/' '-_' | tr -d =)
echo "$path?expires=$expires&user=$user&sig=$sig"`
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	must(t, err)
	want := "/hls/news/a.m3u8?expires=1893456000&user=ann&sig=" + Sign("k1", "/hls/news/a.m3u8", 1893456000, "ann")
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("%s\n%s", got, want)
	}
}

func TestTokenGoesBeforeSignature(t *testing.T) {
	a := newAuth(t, Options{JWT: &JWT{Secret: secret}, SignedURL: &SignedURL{Key: "k"}})
	r := request("")
	r.RawQuery = fmt.Sprintf("expires=%d&user=bob&sig=%s", in(time.Hour), Sign("k", r.Path, in(time.Hour), "bob"))
	if id, err := a.Admit(t.Context(), r); err != nil || id.User != "bob" {
		t.Error(id, err)
	}
	r.Authorization = "Bearer x"
	if _, err := a.Admit(t.Context(), r); code(t, err) != TokenInvalid {
		t.Error(err)
	}
}
