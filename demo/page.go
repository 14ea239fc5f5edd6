package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"time"
)

//go:embed page/page.html page/page.css page/page.js
var pages embed.FS

// PageConfig says where the page finds what it shows: URL paths on the page's own origin.
type PageConfig struct {
	HLS    string // the master playlist, at the edge
	ICY    string // the mount, at the edge
	Counts string // JSON: {"listeners":[{"stream":"demo","kind":"hls","listeners":1,"bytes":123,"seconds":12.3}]}
}

// Page returns the handler of the demo page: one HTML document with its style and script inside, that fetches nothing
// but the three paths of cfg. It answers on any path it is mounted on.
func Page(cfg PageConfig) http.Handler {
	css, js := asset("page.css"), asset("page.js")
	var doc bytes.Buffer
	err := template.Must(template.New("page").Parse(asset("page.html"))).Execute(&doc, struct {
		PageConfig
		CSS template.CSS
		JS  template.JS
	}{cfg, template.CSS(css), template.JS(js)})
	if err != nil {
		panic("demo: page: " + err.Error())
	}
	policy := "default-src 'none'; img-src data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; style-src " + hash(css) + "; script-src " + hash(js)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(doc.Bytes()))
	})
}

func asset(name string) string {
	b, err := pages.ReadFile("page/" + name)
	if err != nil {
		panic("demo: " + err.Error())
	}
	return string(b)
}

// hash is how a content security policy names an inline style or script.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
