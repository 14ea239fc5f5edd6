package proxy

import (
	"net/http"
)

// Players on other origins' pages may read everything a stream answers (facts: CORS). No credentials are involved: sessions are in the
// URL, where Safari's native player can carry them.
const (
	corsAllow = "Authorization, Content-Type, Range, X-Playback-Session-Id, X-Terminate, Icy-MetaData, CMCD-Object, CMCD-Request, " +
		"CMCD-Session, CMCD-Status"
	corsExpose = "Age, Date, Content-Length, Content-Range, Cache-Status, Retry-After, Earshot-Notice, Earshot-Offset, Icy-MetaInt, Icy-Br, Icy-Name, Icy-Genre, " +
		"Icy-Url, Icy-Description, Icy-Pub, Icy-Sr, Ice-Audio-Info"
)

func cors(h http.Header) {
	h["Access-Control-Allow-Origin"] = everybody
	h["Access-Control-Expose-Headers"] = exposed
	h["Timing-Allow-Origin"] = everybody
}

// Values of headers that are the same each time; nobody writes to them.
var (
	everybody = []string{"*"}
	exposed   = []string{corsExpose}
)

// preflight answers OPTIONS, for nobody's account.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Allow", allowed)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", corsAllow)
		h.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}
