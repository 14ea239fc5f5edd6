package auth

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func BenchmarkAdmit(b *testing.B) {
	rs, ec, ed := newRSA(b), newEC(b), newEd(b)
	a := newAuth(b, Options{JWT: &JWT{Secret: secret, Keys: file(b, pemOf(b, rs.public(), ec.public(), ed.public()))}, SignedURL: &SignedURL{Key: "k"}})
	c := jwt.MapClaims{"sub": "ann", "device": "d1", "device_type": "phone", "streams": []string{"tv-*", "news"}, "exp": in(1e12)}
	signedURL := request("")
	signedURL.RawQuery = "expires=4102444800&user=ann&sig=" + Sign("k", signedURL.Path, 4102444800, "ann")
	for _, run := range []struct {
		name string
		r    *Request
	}{{"HS256", request(hs(b, c))}, {"ES256", request(ec.sign(b, c))}, {"RS256", request(rs.sign(b, c))}, {"EdDSA", request(ed.sign(b, c))}, {"signed", signedURL}} {
		b.Run(run.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Admit(b.Context(), run.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
