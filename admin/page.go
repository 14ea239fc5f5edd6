package admin

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// place is where a row stands in its list: rows are ordered by these two texts, byte by byte. They never change while the
// row is there, so that who follows the pages meets every row that stays, once.
type place struct{ first, second string }

func (a place) compare(b place) int {
	if c := strings.Compare(a.first, b.first); c != 0 {
		return c
	}
	return strings.Compare(a.second, b.second)
}

// page gathers the first rows that stand after a place, from a walk over all rows in any order. It never holds more
// than about twice what it is to show.
type page[V any] struct {
	list  string // the list's name, which its cursors carry
	limit int
	after place // the zero place, where no row stands: from the beginning
	rows  map[place]*V

	full bool
	last place // when full: rows past it are not of this page
}

// at is the row at a place, made if this is the first time; nil if that place is certainly not on the page. A row on the
// page is never made twice, so that what is summed in it is whole.
func (p *page[V]) at(k place) *V {
	if k.compare(p.after) <= 0 || p.full && k.compare(p.last) > 0 {
		return nil
	}
	v := p.rows[k]
	if v == nil {
		v = new(V)
		p.rows[k] = v
		if len(p.rows) > 2*(p.limit+1) {
			p.trim()
		}
	}
	return v
}

// trim lets go of the rows past one page, but for one that says that there is a next page.
func (p *page[V]) trim() {
	places := p.places()
	for _, k := range places[p.limit+1:] {
		delete(p.rows, k)
	}
	p.full, p.last = true, places[p.limit]
}

func (p *page[V]) places() []place {
	return slices.SortedFunc(maps.Keys(p.rows), place.compare)
}

// close returns the rows of the page in order, and the cursor of the next one: empty if this is the last.
func (p *page[V]) close() (rows []*V, next string) {
	places := p.places()
	if len(places) > p.limit {
		places = places[:p.limit]
		next = p.cursor(places[p.limit-1])
	}
	rows = make([]*V, len(places))
	for i, k := range places {
		rows[i] = p.rows[k]
	}
	return rows, next
}

func (p *page[V]) cursor(k place) string {
	b := binary.AppendUvarint([]byte(p.list), uint64(len(k.first)))
	return base64.RawURLEncoding.EncodeToString(append(append(b, k.first...), k.second...))
}

func (p *page[V]) parseCursor(text string) (place, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return place{}, false
	}
	rest, ok := strings.CutPrefix(string(b), p.list)
	if !ok {
		return place{}, false
	}
	size, n := binary.Uvarint([]byte(rest))
	if n <= 0 || size > uint64(len(rest)-n) {
		return place{}, false
	}
	rest = rest[n:]
	return place{rest[:size], rest[size:]}, true
}

// newPage makes the page that ?limit= and ?after= ask for. list must be one byte that no other list has.
func newPage[V any](list string, q url.Values) (*page[V], *problem) {
	limit, bad := parseLimit(q.Get("limit"))
	if bad != nil {
		return nil, bad
	}
	p := &page[V]{list: list, limit: limit, rows: make(map[place]*V)}
	if text := q.Get("after"); text != "" {
		after, ok := p.parseCursor(text)
		if !ok {
			return nil, badQuery(`after is %s: write the "next" of the page before as it stands, or leave it out for the first page`, quote(text))
		}
		p.after = after
	}
	return p, nil
}

// parseQuery reads a query that may have the known parameters, each once. A mistyped filter must not answer with
// everything.
func parseQuery(r *http.Request, known ...string) (url.Values, *problem) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badQuery("the query cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case len(known) == 0:
			return nil, badQuery("there is no parameter %s: this path has none", quote(name))
		case !slices.Contains(known, name):
			return nil, badQuery("there is no parameter %s: write %s", quote(name), strings.Join(known, ", "))
		case len(q[name]) > 1:
			return nil, badQuery("%s stands %d times: write it once", name, len(q[name]))
		}
	}
	return q, nil
}

func badQuery(format string, args ...any) *problem {
	return &problem{Status: http.StatusBadRequest, Code: "bad-query", Detail: fmt.Sprintf(format, args...)}
}

// quote repeats what was sent, as far as it helps.
func quote(s string) string {
	const maxQuoted = 64
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}
