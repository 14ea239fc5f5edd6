package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is listeners who do not give up when their edge dies: they ask again until it is back.
type load struct {
	receivers []*receiver
	tuners    []*tuner
	run       atomic.Int64 // how often the edge was started again
	enough    atomic.Bool
	work      sync.WaitGroup
}

const retryAfter = 30 * time.Millisecond

// newLoad is n players of each show, of all kinds, and n listeners of the mount, half of them with an id.
func newLoad(s *studio, o *outpost, n int, shows ...string) *load {
	l := &load{}
	for i := range n {
		for _, show := range shows {
			l.play(s, o, show, i)
		}
		l.listen(o, i)
	}
	return l
}

func (l *load) life() int { return int(l.run.Load()) }

func (l *load) play(s *studio, o *outpost, show string, i int) {
	r := &receiver{agent: fmt.Sprintf("kill/%s-%d", show, i), address: fmt.Sprintf("198.51.100.%d", 1+len(l.receivers)),
		studio: s, edges: []string{o.listen}, pace: 40 * time.Millisecond, run: l.life}
	if s.shows[show].slow {
		r.pace = 0
	}
	switch i % 4 {
	case 1:
		r.header = http.Header{"X-Playback-Session-Id": {r.agent}}
	case 2:
		r.polls = true
	case 3:
		r.query = url.Values{"CMCD": {`sid="` + r.agent + `"`}}.Encode()
	}
	l.receivers = append(l.receivers, r)
	l.work.Go(func() { r.insist(show, l.done) })
}

func (l *load) listen(o *outpost, i int) {
	u := &tuner{agent: fmt.Sprintf("kill/icy-%d", i), address: fmt.Sprintf("203.0.113.%d", i+1), metadata: i%3 == 0, run: l.life}
	if i%2 == 0 {
		u.id = u.agent
	}
	l.tuners = append(l.tuners, u)
	l.work.Go(func() { u.insist(o.listen, l.done) })
}

func (l *load) done() bool { return l.enough.Load() }

// stop lets everybody come to an end in peace, and reports what went wrong on the way.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.enough.Store(true)
	l.work.Wait()
	for _, r := range l.receivers {
		if r.complaint != nil {
			t.Errorf("%s: %v", r.agent, r.complaint)
		}
	}
	for _, u := range l.tuners {
		if u.complaint != nil {
			t.Errorf("%s: %v", u.agent, u.complaint)
		}
	}
}

// insist plays a show until it is done, fetching anew what broke off. It ends at the end of a segment.
func (r *receiver) insist(show string, done func() bool) {
	defer r.close()
	media := r.at(show, "lo/index.m3u8")
	if !r.polls {
		m := r.insistOn(done, r.at(show, "master.m3u8"))
		if m == nil {
			return
		}
		media = m.variants[hi]
	}
	m := r.insistOn(done, media)
	for n := 0; m != nil && !done(); n++ {
		if n == len(m.segments) {
			r.complaint = errors.New("the show is over before the test")
			return
		}
		for {
			err := r.fetch(m.segments[n], "", 0)
			if err == nil {
				break
			}
			if r.complain(err) || done() {
				return
			}
		}
		if r.polls && n%4 == 3 {
			m = r.insistOn(done, media)
		}
	}
}

// insistOn loads a playlist; nil if it is done before.
func (r *receiver) insistOn(done func() bool, u *url.URL) *manifest {
	for !done() {
		m, err := r.load(u)
		if err == nil {
			return m
		}
		if r.complain(err) {
			return nil
		}
	}
	return nil
}

// complain keeps an error that no kill explains; else it waits a little.
func (r *receiver) complain(err error) bool {
	if errors.Is(err, errStatus) || errors.Is(err, errForeign) {
		r.complaint = err
		return true
	}
	time.Sleep(retryAfter)
	return false
}

// insist listens until it is done, connecting anew when the stream ends.
func (u *tuner) insist(edge string, done func() bool) {
	for !done() {
		if err := u.tune(edge, "/radio.mp3"); err != nil {
			if errors.Is(err, errStatus) {
				u.complaint = err
				return
			}
			time.Sleep(retryAfter)
			continue
		}
		err := u.hear(done)
		if errors.Is(err, errLeft) {
			err = u.part()
		}
		u.conn.Close()
		if err != nil {
			u.complaint = err
			return
		}
	}
}
