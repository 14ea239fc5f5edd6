package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// testLLStrict: the origin itself does as the draft says, and tells who does not.
func testLLStrict(t *testing.T, s *llShow) {
	o := startLLOrigin(t, s)
	l := newLLListener(t, "strict")
	children, err := l.master(o.URL + "/" + s.name + "/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.reload(children[0], -1, -1, false)
	if err != nil {
		t.Fatal(err)
	}
	whole := len(v.segments)
	if delta, err := l.reload(children[0], -1, -1, true); err != nil || delta.skipped == 0 || delta.skipped+len(delta.segments) < whole {
		t.Errorf("%v: of %d segments a delta update leaves out %d and has %d", err, whole, delta.skipped, len(delta.segments))
	}
	for directives, msn := range map[string]int{"_HLS_part=0": -1, "_HLS_msn=%d": v.msn + 3, "_HLS_msn=%d&_HLS_part=15": v.msn,
		"_HLS_msn=%d&_HLS_part=x": v.msn, "_HLS_push=1": -1, "earshot=x": -1} {
		if msn >= 0 {
			directives = fmt.Sprintf(directives, msn)
		}
		o.refuses(t, l, with(children[0], directives), "", http.StatusBadRequest)
	}
	later := *v.hint
	later.url = with(later.url, "")
	if s.ranged {
		o.refuses(t, l, v.hint.url, "bytes=1-2", http.StatusRequestedRangeNotSatisfiable)
	} else {
		later.url.Path = strings.Replace(later.url.Path, fmt.Sprintf("/%d.", v.msn), fmt.Sprintf("/%d.", v.msn+1), 1)
		o.refuses(t, l, later.url, "", http.StatusNotFound)
	}
	if err := l.fetch(*v.hint); err != nil {
		t.Error(err)
	}
	o.halt()
	if v, err = l.reload(children[0], -1, -1, false); err != nil {
		t.Fatal(err)
	}
	began, before := time.Now(), lived()
	_, err = l.ask(withDirectives(children[0], v.msn, llParts, false), "", http.StatusServiceUnavailable)
	if took := time.Since(began); err != nil || took < 3*llTarget-100*time.Millisecond || lived()-before > 3*llTarget+2*time.Second {
		t.Errorf("a part that does not come: %v, after %v", err, took)
	}
}

// refuses: the origin answers so, and takes it for a violation.
func (o *llOrigin) refuses(t *testing.T, l *llListener, u *url.URL, ranges string, status int) {
	t.Helper()
	before := o.violated()
	if _, err := l.ask(u, ranges, status); err != nil {
		t.Error(err)
	}
	if o.violated() != before+1 {
		t.Errorf("%s (%s) is no violation", u, ranges)
	}
}

func (o *llOrigin) violated() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.violations)
}

// with adds to a URL's query.
func with(u *url.URL, directives string) *url.URL {
	more := *u
	more.RawQuery = strings.Trim(more.RawQuery+"&"+directives, "&")
	return &more
}

// obeyed: no client has violated the draft, and nothing of ours has reached the origin.
func (o *llOrigin) obeyed(t testing.TB) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, v := range o.violations {
		t.Errorf("against the draft: %s", v)
	}
	if len(o.requests) == 0 {
		t.Error("the origin was asked for nothing")
	}
	for _, q := range o.requests {
		u, err := url.ParseRequestURI(q.url)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range ours {
			if u.Query().Has(name) {
				t.Errorf("the origin was asked for %s", q.url)
			}
		}
	}
}
