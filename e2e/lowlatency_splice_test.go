package e2e

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// testLLSplice follows a playlist from part to part, over the ends of two segments: every version is the origin's own but for what was
// added, hints come true, and reports lead to what the master named.
func testLLSplice(t *testing.T, s *llShow) {
	o, e := llEdge(t, s)
	l := newLLListener(t, "splice")
	children, err := l.master(e.listen + "/live/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range children {
		if q := u.Query(); q.Get("X-Playback-Session-Id") == "" || q.Get("earshot") == "" || s.feed != "" && !strings.HasPrefix(u.RawQuery, s.feed+"&") {
			t.Errorf("the master names %s", u)
		}
	}
	v, err := l.reload(children[0], -1, -1, false)
	for n := 0; err == nil && n < 2*llParts+2; n++ {
		o.sent(t, v.text)
		v.reportsAre(t, len(children), func(report string) bool {
			return slices.ContainsFunc(children[1:], func(u *url.URL) bool { return u.String() == report })
		})
		hint := *v.hint
		msn, part := v.next()
		if v, err = l.reload(children[0], msn, part, n%2 == 0); err != nil {
			break
		}
		if (n%2 == 0) != (v.skipped > 0) {
			t.Errorf("version %d leaves %d segments out", n, v.skipped)
		}
		came, err := v.part(hint.from)
		if err != nil {
			t.Fatal(err)
		}
		start, _, _ := strings.Cut(hint.ranges, fmt.Sprint(openEnd))
		if came.uri != hint.uri || !strings.HasPrefix(came.ranges, start) {
			t.Errorf("%s %s was hinted at, and %s %s came", hint.uri, hint.ranges, came.uri, came.ranges)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	o.obeyed(t)
}

// sent: a playlist is one that the origin has sent, byte for byte, with the edge's parameters on every URI of it.
func (o *llOrigin) sent(t *testing.T, text string) {
	t.Helper()
	same := func(q llRequest) bool { return q.text == plain(text) }
	if len(o.asked(same)) == 0 {
		t.Errorf("the origin has never sent this, with or without what the edge adds:\n%s", text)
	}
	uris := strings.Count(text, `URI="`)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			uris++
		}
	}
	if added := len(spliced.FindAllString(text, -1)); added != uris {
		t.Errorf("%d of %d URIs have the edge's parameters:\n%s", added, uris, text)
	}
}

// reportsAre: there is one for each other rendition, and each is known.
func (v *llVersion) reportsAre(t *testing.T, renditions int, known func(string) bool) {
	t.Helper()
	if len(v.reports) != renditions-1 {
		t.Errorf("%d reports on %d other renditions", len(v.reports), renditions-1)
	}
	for _, u := range v.reports {
		if !known(u.String()) {
			t.Errorf("the master does not name %s", u)
		}
	}
}

// testLLTogether: listeners who wait for the same part wait at the edge; the origin is asked once. Each has an answer of his own, whatever
// else he says in his query, and whoever leaves before.
func testLLTogether(t *testing.T, s *llShow) {
	o, e := llEdge(t, s)
	for tries := 0; ; tries++ { // a machine that stands still lets the part come before they ask for it
		began := time.Now()
		if attempt := o.together(t, s, e, tries); attempt == nil {
			break
		} else if still := stoodStill(began, time.Now()); still == 0 || tries == 10 {
			t.Error(attempt)
			break
		}
	}
	o.obeyed(t)
}

// together has listeners wait for the same part. The error is what may be this machine's fault.
func (o *llOrigin) together(t *testing.T, s *llShow, e *edge, try int) error {
	t.Helper()
	const listeners = 8
	versions := make([]*llVersion, listeners)
	fails := make([]error, listeners)
	var ready, done sync.WaitGroup
	var msn, part int
	begin := make(chan struct{})
	for n := range listeners {
		l := newLLListener(t, fmt.Sprintf("together-%d-%d", try, n))
		children, err := l.master(e.listen + "/live/master.m3u8")
		if err != nil {
			t.Fatal(err)
		}
		v, err := l.reload(children[0], -1, -1, false)
		if err != nil {
			t.Fatal(err)
		}
		msn, part = v.next()
		msn, part = msn+(part+2)/llParts, (part+2)%llParts // not the next part, which may be there any moment
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-begin
			own := with(children[0], fmt.Sprintf("CMCD=sid%%3D%%22%d%%22", n))
			if n == 0 {
				l.client.Timeout = 20 * time.Millisecond
			}
			versions[n], fails[n] = l.reload(own, msn, part, true)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	ids := make(map[string]bool)
	if fails[0] == nil {
		return errors.New("the one who was to leave has stayed")
	}
	for n, v := range versions[1:] {
		if fails[n+1] != nil {
			t.Fatal(fails[n+1])
		}
		o.sent(t, v.text)
		if plain(v.text) != plain(versions[1].text) {
			t.Errorf("two who waited for the same got %s and %s", plain(v.text), plain(versions[1].text))
		}
		ids[v.hint.url.Query().Get("X-Playback-Session-Id")] = true
	}
	if len(ids) != listeners-1 {
		t.Errorf("%d sessions of %d listeners", len(ids), listeners-1)
	}
	asked := o.asked(func(q llRequest) bool {
		return strings.Contains(q.url, fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d&", msn, part))
	})
	if len(asked) != 1 {
		return fmt.Errorf("the origin was asked %d times for what %d waited for together", len(asked), listeners)
	}
	if asked[0].held() < 50*time.Millisecond {
		return fmt.Errorf("the origin held the request for %v only", asked[0].held())
	}
	return nil
}
