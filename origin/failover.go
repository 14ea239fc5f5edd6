package origin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"earshot/playlist"
)

// turn is one origin as a request comes to it.
type turn struct {
	url   string
	at    *health
	place int  // in the Source
	due   bool // a trial is: this attempt, if nobody else is first
	spare bool // the origin is doubtful and others are well: a last resort
	trial bool
}

// do asks the origins in turn until one answers with something that is not its own fault. cancel ends the fetch; the
// head came in time, the body is the caller's to watch.
func (c *Client) do(ctx context.Context, method string, src Source, header http.Header) (resp *http.Response, cancel context.CancelFunc, err error) {
	if len(src.URLs) == 0 {
		return nil, nil, fmt.Errorf("%w: none is configured", ErrUnreachable)
	}
	late := time.Now().Add(c.opt.ConnectTimeout) // for others' trials
	for {
		turns, err := c.fetcher.turns(ctx, src, late)
		if err != nil {
			return nil, nil, err
		}
		r := round{fetcher: c.fetcher}
		for i, t := range turns {
			if !r.may(&t) {
				continue
			}
			if !r.pay(t) {
				break
			}
			resp, cancel, err := r.attempt(ctx, method, t, src, header)
			if r.note(resp, cancel, err); ctx.Err() != nil || err == nil && !(missing(resp) && passedOver(t, turns[i+1:])) {
				break
			}
		}
		if r.first != nil {
			return r.resp, r.cancel, r.err
		}
	}
}

// missing is an answer that another origin may be able to better.
func missing(resp *http.Response) bool {
	return resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone
}

// passedOver is whether a better origin than t's waits among the last resorts.
func passedOver(t turn, rest []turn) bool {
	return slices.ContainsFunc(rest, func(other turn) bool { return other.spare && other.place < t.place })
}

// round is one request on its way past the origins.
type round struct {
	*fetcher
	first *health // of the origins that were asked

	// The best outcome so far: an answer, or else an error.
	resp   *http.Response
	cancel context.CancelFunc
	err    error
}

// may is whether to ask an origin: one that is out only as its trial.
func (r *round) may(t *turn) bool {
	if t.due {
		t.trial = t.at.claim()
	}
	if t.trial {
		return true
	}
	c, _ := t.at.stand()
	return c != out || !t.due
}

// pay is for retries: while the first origin passes for well, and others still come to it. Once it is out they pass it by, and a request
// that came earlier may do so too.
func (r *round) pay(t turn) bool {
	if r.first == nil {
		r.first = t.at
		r.first.retries.deposit()
		return true
	}
	if c, _ := r.first.stand(); c == up && !r.first.retries.withdraw() {
		r.opt.Metrics.denied()
		t.at.dropped(t.trial)
		return false
	}
	r.opt.Metrics.failedOver()
	return true
}

// note keeps the better of two outcomes. Of two errors it is the latter.
func (r *round) note(resp *http.Response, cancel context.CancelFunc, err error) {
	if err != nil {
		if r.resp == nil {
			r.err = err
		}
		return
	}
	if r.resp != nil {
		r.resp.Body.Close()
		r.cancel()
	}
	r.resp, r.cancel, r.err = resp, cancel, nil
}

// turns are the origins to ask, in order; at least one. Where all are out it waits for a trial that runs, until late.
func (f *fetcher) turns(ctx context.Context, src Source, late time.Time) ([]turn, error) {
	for {
		if turns := f.line(src); len(turns) > 0 {
			return turns, nil
		}
		trial, err := f.resting(src)
		switch left := time.Until(late); {
		case err == nil: // one is back
		case trial == nil || left <= 0:
			return nil, err
		default:
			await(ctx, trial, left)
		}
		if ctx.Err() != nil {
			return nil, classify(ctx, ctx.Err(), false)
		}
	}
}

// await waits for the end of a trial, of ctx or of the time.
func await(ctx context.Context, trial <-chan struct{}, most time.Duration) {
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-trial:
	case <-late.C:
	case <-ctx.Done():
	}
}

// line is the origins that are well, in the Source's order, and then those that are doubtful. The trials that are due run beside it. Without
// one that is well, the request itself is the trial.
func (f *fetcher) line(src Source) []turn {
	var well, other []turn
	for i, u := range src.URLs {
		t := turn{url: u, at: f.origins.of(u), place: i}
		var c condition
		if c, t.due = t.at.stand(); c == up {
			well = append(well, t)
		} else if c == doubtful || t.due {
			t.spare = c == doubtful
			other = append(other, t)
		}
	}
	if len(well) == 0 {
		return other
	}
	for _, t := range other {
		if t.due {
			f.try(t, src)
		}
		if t.spare {
			t.due = false
			well = append(well, t)
		}
	}
	return well
}

// resting is a trial that runs, if one does, and why the first origin is out: nil if one is not, by now.
func (f *fetcher) resting(src Source) (trial <-chan struct{}, err error) {
	for _, u := range src.URLs {
		h := f.origins.of(u)
		running, why := h.pending()
		if why == nil {
			return nil, nil
		}
		if running != nil {
			trial = running
		}
		if err == nil {
			err = fmt.Errorf("%s is not asked for a moment: %w", h.name, why)
		}
	}
	return trial, err
}

// try finds out beside a request whether an origin is back, so that no listener waits for one that is not.
func (f *fetcher) try(t turn, src Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.trial = !f.closed && t.at.claim(); !t.trial {
		return
	}
	if at, query, ok := strings.Cut(t.url, "?"); ok && blocks(t.url) {
		t.url = at + "?" + playlist.StripQuery(query, "_HLS_msn", "_HLS_part") // it need not wait for what is to come
	}
	f.trials.Go(func() {
		resp, cancel, err := f.attempt(f.ctx, http.MethodGet, t, src, nil)
		if err == nil {
			cancel()
			resp.Body.Close()
		}
	})
}

// origins is the health of each origin, by scheme, host and port. There are as many as the configuration names: redirects do not add to them.
type origins struct {
	made func(*health, string) // called with mu held for each new one, and one of its URLs

	mu    sync.Mutex
	spelt map[string]*health // by the beginning of a URL, as it is written
	by    map[string]*health
}

func (o *origins) of(u string) *health {
	key := upToHost(u)
	o.mu.Lock()
	defer o.mu.Unlock()
	if h, ok := o.spelt[key]; ok {
		return h
	}
	name := "" // what is no URL fails in good time
	if parsed, err := url.Parse(key); err == nil {
		name = originOf(parsed)
	}
	if o.by == nil {
		o.by, o.spelt = make(map[string]*health), make(map[string]*health)
	}
	h, ok := o.by[name]
	if !ok {
		h = &health{name: name, retries: budget{fifths: budgetBurst}}
		o.by[name] = h
		o.made(h, key)
	}
	o.spelt[key] = h
	return h
}

// body notes what became of a body that an origin began to send; where it was redirected to is nobody whose health is known.
func (f *fetcher) body(from *url.URL, err error) {
	o := &f.origins
	o.mu.Lock()
	h := o.by[originOf(from)]
	o.mu.Unlock()
	switch {
	case h == nil:
	case err == nil:
		h.carried()
	default:
		h.tore(failure{kind: refusing, about: from.Path, err: fmt.Errorf("bodies break off: %w", err)})
	}
}

// made readies a new origin.
func (f *fetcher) made(h *health, u string) {
	f.dialer.know(u)
	label := f.label(h.name)
	f.opt.Metrics.stands(label, true)
	h.change = func(failure error) {
		f.opt.Metrics.stands(label, failure == nil)
		if failure != nil {
			f.opt.Log.Warn("an origin is down", "origin", h.name, "err", failure)
			return
		}
		f.opt.Log.Info("an origin is back", "origin", h.name)
	}
}

// label is what metrics call an origin.
func (f *fetcher) label(name string) string {
	for _, o := range f.opt.Origins {
		if u, err := url.Parse(upToHost(o.URL)); err == nil && originOf(u) == name {
			return o.Label
		}
	}
	return "other"
}
