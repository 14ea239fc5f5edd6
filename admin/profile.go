package admin

import (
	"net/http"
	"net/http/pprof"
	"strings"

	runtimepprof "runtime/pprof"
)

// profiles is where go tool pprof looks.
const profiles = "/debug/pprof/"

// serveProfile answers the paths of net/http/pprof. That package puts itself on http.DefaultServeMux as well, which
// therefore must not be served.
func serveProfile(w http.ResponseWriter, r *http.Request) *problem {
	switch name := strings.TrimPrefix(r.URL.Path, profiles); name {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		if name != "" && runtimepprof.Lookup(name) == nil {
			return notFound()
		}
		pprof.Index(w, r)
	}
	return nil
}
