package admin

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"earshot/gate"
	"earshot/session"
)

// userOf is the user whose sessions the path names. A user's own token is for his own.
func (c *call) userOf() (string, *fault) {
	user := c.names[0]
	says := textFault(user, maxText)
	if says == "" && !mayName(user) {
		says = "is no name in a path"
	}
	if says != "" {
		return "", &fault{status: http.StatusUnprocessableEntity, code: "invalid", detail: "user_id " + says}
	}
	if c.app.User != "" && c.app.User != user {
		return "", &fault{status: http.StatusForbidden, code: string(gate.NotAllowed), detail: "this token is for another user's sessions"}
	}
	return user, nil
}

// named is the session that the path names: its user and id.
func (c *call) named() (user string, id session.ID, f *fault) {
	user, f = c.userOf()
	if f != nil {
		return "", "", f
	}
	id, err := session.ParseID(c.names[1])
	if err != nil {
		return "", "", noSession()
	}
	return user, id, nil
}

// play is what the request tells of a session of the user. The id in the path, if there is one, is the one that counts.
func (a *App) play(c *call, user string, id session.ID) (gate.Play, *fault) {
	p, f := readPlay(c.w, c.r)
	if f != nil {
		return gate.Play{}, f
	}
	if id != "" && p.ID != "" && p.ID != id {
		return gate.Play{}, &fault{status: http.StatusConflict, code: "id-conflict", detail: "the id in the body is not the one in the path"}
	}
	p.ID, p.User = cmp.Or(id, p.ID), user
	return p, nil
}

// introduce fills in what a device that asks for itself shows of itself. Where it is, it shows: what it says of that is not asked. An app's own
// token comes from a server, whose address is nobody's who listens.
func (a *App) introduce(c *call, p *gate.Play) {
	if c.app.User == "" {
		return
	}
	p.Address = a.opt.Trusted(c.r)
	if p.Agent == "" {
		p.Agent = cut(c.r.UserAgent())
	}
}

// post makes a session, or renews the one of that id.
func (a *App) post(c *call) *fault {
	user, f := c.userOf()
	if f != nil {
		return f
	}
	return a.make(c, user, "")
}

// put makes a session of the client's own id, or renews it.
func (a *App) put(c *call) *fault {
	user, f := c.userOf()
	if f != nil {
		return f
	}
	chosen := attributes{}
	id := chosen.id("id", c.names[1])
	if chosen.bad != nil {
		chosen.bad.pointer = ""
		return chosen.bad
	}
	return a.make(c, user, id)
}

func (a *App) make(c *call, user string, id session.ID) *fault {
	p, f := a.play(c, user, id)
	if f != nil {
		return f
	}
	a.introduce(c, &p)
	seat, made, err := a.opt.Gate.Make(c.ctx(), p)
	if err != nil {
		return faultOf(err)
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
		c.w.Header().Set("Location", a.self(c.r, &seat))
	}
	a.answer(c, status, document{Data: a.resource(c.r, &seat)})
	return nil
}

// patch keeps a session alive.
func (a *App) patch(c *call) *fault {
	user, id, f := c.named()
	if f != nil {
		return f
	}
	p, f := a.play(c, user, id)
	if f != nil {
		return f
	}
	if c.app.User != "" {
		p.Address = netip.Addr{} // as introduce has it
	}
	seat, err := a.opt.Gate.Keep(c.ctx(), p)
	if err != nil {
		return faultOf(err)
	}
	a.answer(c, http.StatusOK, document{Data: a.resource(c.r, &seat)})
	return nil
}

func (a *App) show(c *call) *fault {
	user, id, f := c.named()
	if f != nil {
		return f
	}
	seat, err := a.opt.Gate.Find(c.ctx(), user, id)
	if err != nil {
		return faultOf(err)
	}
	a.answer(c, http.StatusOK, document{Data: a.resource(c.r, &seat)})
	return nil
}

func (a *App) stopOfUser(c *call) *fault {
	user, id, f := c.named()
	if f != nil {
		return f
	}
	return a.end(c, user, id)
}

func (a *App) stop(c *call) *fault {
	id, err := session.ParseID(c.names[0])
	if err != nil {
		return noSession()
	}
	return a.end(c, c.app.User, id)
}

func (a *App) end(c *call, user string, id session.ID) *fault {
	if err := a.opt.Gate.Stop(c.ctx(), user, id); err != nil {
		return faultOf(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxPlayed bounds a user's sessions in a list.
const maxPlayed = 1000

// list shows a user's sessions, those first that began first.
func (a *App) list(c *call) *fault {
	user, f := c.userOf()
	if f != nil {
		return f
	}
	size, after, f := paging(c.r)
	if f != nil {
		return f
	}
	seats, err := a.opt.Gate.Played(c.ctx(), user, maxPlayed)
	if err != nil {
		return faultOf(err)
	}
	seats = slices.DeleteFunc(oneEach(seats), func(s session.Seat) bool { return standing(&s).compare(after) <= 0 })
	doc := document{Links: &links{Self: a.opt.Outward(c.r) + c.r.URL.RequestURI()}}
	if len(seats) > size {
		seats = seats[:size]
		q := url.Values{"page[size]": {strconv.Itoa(size)}, "page[after]": {standing(&seats[size-1]).cursor()}}
		doc.Links.Next = a.opt.Outward(c.r) + c.r.URL.EscapedPath() + "?" + q.Encode()
	}
	rows := make([]resource, len(seats))
	for i := range seats {
		rows[i] = a.resource(c.r, &seats[i])
	}
	doc.Data = rows
	a.answer(c, http.StatusOK, doc)
	return nil
}

// oneEach leaves one seat of each id, the one that was seen last: an id that plays two streams has two seats, and a resource has one.
func oneEach(seats []session.Seat) []session.Seat {
	slices.SortFunc(seats, func(x, y session.Seat) int {
		return cmp.Or(strings.Compare(string(x.Key.ID), string(y.Key.ID)), y.Seen.Compare(x.Seen), strings.Compare(x.Key.Group, y.Key.Group))
	})
	seats = slices.CompactFunc(seats, func(x, y session.Seat) bool { return x.Key.ID == y.Key.ID })
	slices.SortFunc(seats, func(x, y session.Seat) int { return standing(&x).compare(standing(&y)) })
	return seats
}

// stand is where a session stands in a list.
type stand struct {
	started int64 // Unix ms
	id      string
}

func standing(s *session.Seat) stand { return stand{s.Started.UnixMilli(), string(s.Key.ID)} }

func (s stand) compare(o stand) int {
	return cmp.Or(cmp.Compare(s.started, o.started), strings.Compare(s.id, o.id))
}

func (s stand) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(s.started, 36) + " " + s.id))
}

func parseStand(text string) (stand, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return stand{}, false
	}
	number, id, ok := strings.Cut(string(b), " ")
	started, err := strconv.ParseInt(number, 36, 64)
	return stand{started, id}, ok && err == nil
}

// paging reads page[size] and page[after]. What JSON:API would have the list picked, ordered or paged by, and is not there, is refused: all sessions would be
// taken for some, or the first page for each. Other parameters are ignored, as unknown attributes are.
func paging(r *http.Request) (size int, after stand, f *fault) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, stand{}, malformed("the query cannot be read")
	}
	for name, values := range q {
		family, _, _ := strings.Cut(name, "[")
		switch {
		case name == "page[size]" || name == "page[after]" || values[0] == "":
		case family == "page" || family == "filter" || family == "sort" || family == "include":
			return 0, stand{}, malformed("there is no parameter of that " + family + ": the list has page[size] and page[after]")
		}
	}
	size, after.started = defaultLimit, -1
	if text := q.Get("page[size]"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > maxPlayed {
			return 0, stand{}, malformed("page[size] is a whole number from 1 to " + strconv.Itoa(maxPlayed))
		}
	}
	if text := q.Get("page[after]"); text != "" {
		var ok bool
		if after, ok = parseStand(text); !ok {
			return 0, stand{}, malformed("page[after] is not one that a list gave: follow links.next as it stands")
		}
	}
	return size, after, nil
}
