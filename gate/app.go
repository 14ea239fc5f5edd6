package gate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"earshot/session"
)

// App is who calls the app API.
type App struct {
	Name string // of the bearer token; empty: a user with a token of his own
	User string // whose sessions he may see and change; empty: everybody's
}

// maxBearer bounds a token, in bytes.
const maxBearer = 8 << 10

// App finds out who calls, by the Authorization that he sends from an address. The error is a [*Refusal] with TokenRequired or TokenInvalid; beyond the
// address's share of those with RateLimited. A token that holds is never refused.
func (g *Gate) App(ctx context.Context, authorization string, address netip.Addr) (App, error) {
	scheme, bearer, _ := strings.Cut(authorization, " ")
	bearer = strings.Trim(bearer, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return App{}, &Refusal{g.stranger(address, Verdict{Code: TokenRequired, Detail: "send a token: Authorization: Bearer <token>"})}
	}
	if bearer != "" && len(bearer) <= maxBearer {
		if app, err := g.holder(ctx, bearer, address); err == nil || ctx.Err() != nil {
			return app, err
		}
	}
	return App{}, &Refusal{g.stranger(address, Verdict{Code: TokenInvalid,
		Detail: "the bearer token is neither one of auth.tokens nor a user's own that holds"})}
}

// holder is whose token it is. Apps' own cost next to nothing to compare; users' are verified.
func (g *Gate) holder(ctx context.Context, bearer string, address netip.Addr) (App, error) {
	digest := sha256.Sum256([]byte(bearer))
	name, found := "", 0
	for n, token := range g.opt.Tokens {
		want := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(digest[:], want[:]) == 1 {
			name, found = n, 1
		}
	}
	if found == 1 {
		return App{Name: name}, nil
	}
	if g.opt.Auth == nil {
		return App{}, errNobodys
	}
	app := App{}
	err := g.strangers.verify(ctx, address, func() error {
		id, err := g.opt.Auth.User(ctx, bearer)
		app.User = id.User
		return err
	})
	if err == nil && app.User == "" {
		err = errNobodys
	}
	return app, err
}

var errNobodys = errors.New("nobody's token")

// Play is what an app tells of a session.
type Play struct {
	ID         session.ID // empty: one is minted
	User       string
	Service    string
	DeviceID   string
	DeviceType string
	Agent      string
	Address    netip.Addr
	Shared     bool     // the device's players count once (multi-stream)
	Terminate  []string // termination codes of sessions that are to be ended for it
}

// Make makes a session that has not been played yet. The error is a [*Refusal] (TooManySessions, ChooseSession, Ended, Banned, EdgeFull, NotAllowed),
// ErrNotYours or ErrDeviceType if the id is taken. A session of that id that is the user's own is kept alive instead (made is false).
func (g *Gate) Make(ctx context.Context, p Play) (seat session.Seat, made bool, err error) {
	if p.ID == "" {
		p.ID = session.NewID()
	} else if seat, err := g.keepSeat(ctx, p); err != ErrNoSession && !errors.Is(err, session.ErrLive) {
		if err == ErrOverSession {
			err = g.refusal(Verdict{Code: Ended, Detail: overDetail(byOperator)})
		}
		return seat, false, err
	}
	now := time.Now()
	l := p.listener()
	if b, ok := g.rules.Load().banned(l, now); ok {
		return session.Seat{}, false, g.refusal(Verdict{Code: Banned, Detail: b.Reason})
	}
	c := g.claimOfApp(&p, l)
	answer, err := g.claimOnce(ctx, c)
	if err != nil {
		return g.degradedApp(c, now)
	}
	g.others(answer)
	switch answer.Outcome {
	case session.Held:
		return answer.Seat, true, nil
	case session.Another: // he has made one of that id between the two questions
		return session.Seat{}, false, ErrNotYours
	case session.Ended:
		return session.Seat{}, false, g.refusal(Verdict{Code: Ended, Detail: overDetail(answer.Reason)})
	}
	return session.Seat{}, false, g.refusal(g.tooMany(c, answer))
}

func (g *Gate) refusal(v Verdict) error { return &Refusal{g.refuse(v)} }

func (p *Play) listener() *session.Listener {
	return &session.Listener{UserID: p.User, DeviceID: p.DeviceID, DeviceType: p.DeviceType, Address: p.Address, Agent: p.Agent}
}

func (g *Gate) claimOfApp(p *Play, l *session.Listener) *session.Claim {
	s := session.New(session.Key{ID: p.ID}, "", *l)
	s.App, s.Shared = true, p.Shared
	return &session.Claim{
		Seat: session.Seat{Key: s.Key, API: true, Edge: g.opt.Edge, UserID: p.User, DeviceID: p.DeviceID, DeviceType: p.DeviceType,
			Address: p.Address, Agent: p.Agent, Service: p.Service, Owner: owner(s), Slot: slot(s), Uses: g.uses(l, "", 0)},
		TTL: g.opt.APITTL, Policy: g.opt.OnLimit, OfUser: true, Silence: mostSilence, Cooldown: g.opt.SeatTTL, Sentence: endedFor,
		Terminate: g.terminated(p.Terminate, p.User),
	}
}

// degradedApp answers while the live table cannot be reached: the service must not be why nobody can watch, unless it was told to.
func (g *Gate) degradedApp(c *session.Claim, now time.Time) (session.Seat, bool, error) {
	g.metrics.degraded(g.opt.OnLiveError)
	if g.opt.OnLiveError == LiveDeny {
		g.free(c.Seat.Key) // it may have been given after all
		return session.Seat{}, false, g.refusal(Verdict{Code: EdgeFull, RetryAfter: 5 * time.Second,
			Detail: "whether there is room for another session cannot be found out at the moment"})
	}
	if g.endings.any(c.Seat.Key.ID, now) {
		return session.Seat{}, false, g.refusal(Verdict{Code: Ended, Detail: overDetail(byOperator)})
	}
	return g.asSaid(c, now), true, nil
}

// asSaid is an app's session as it says it is.
func (g *Gate) asSaid(c *session.Claim, now time.Time) session.Seat {
	seat := c.Seat
	seat.Started, seat.Seen, seat.Expires = now, now, now.Add(c.TTL)
	return seat
}

// Keep keeps a session alive and changes what is not empty in p. ErrNoSession, ErrNotYours, ErrOverSession, ErrDeviceType. While the live table
// cannot be reached it takes the caller's word for it that there is one: nothing is let in by that.
func (g *Gate) Keep(ctx context.Context, p Play) (session.Seat, error) {
	seat, err := g.keepSeat(ctx, p)
	if !errors.Is(err, session.ErrLive) {
		return seat, err
	}
	g.metrics.degraded(g.opt.OnLiveError)
	if g.endings.any(p.ID, time.Now()) {
		return seat, ErrOverSession
	}
	return g.asSaid(g.claimOfApp(&p, p.listener()), time.Now()), nil
}

// keepSeat is Keep. The error wraps [session.ErrLive] if nothing is known.
func (g *Gate) keepSeat(ctx context.Context, p Play) (session.Seat, error) {
	seat, err := g.find(ctx, p.User, p.ID, g.opt.LiveTime)
	if err != nil {
		return seat, err
	}
	if p.DeviceType != "" && seat.DeviceType != "" && p.DeviceType != seat.DeviceType {
		return seat, ErrDeviceType
	}
	c := &session.Claim{Seat: seat, TTL: g.opt.APITTL, Goes: true, Stay: true}
	if seat.Kind != "" {
		c.TTL = g.opt.SeatTTL
	}
	if p.Address.IsValid() {
		c.Seat.Address = p.Address
		if seat.Kind == "" { // else the edge that plays it knows
			l := session.Listener{UserID: seat.UserID, DeviceID: seat.DeviceID, DeviceType: seat.DeviceType, Address: p.Address, Agent: cmp.Or(p.Agent, seat.Agent)}
			c.Stay, c.Seat.Edge, c.Seat.Uses = false, g.opt.Edge, g.uses(&l, "", 0)
		}
	}
	if p.Agent != "" {
		c.Seat.Agent = p.Agent
	}
	if p.Service != "" {
		c.Seat.Service = p.Service
	}
	answer, err := g.claimOnce(ctx, c)
	switch {
	case err != nil:
		g.metrics.degraded(g.opt.OnLiveError)
		return c.Seat, nil // it is there, and will be asked for again
	case answer.Outcome == session.Ended:
		return seat, ErrOverSession
	case answer.Outcome != session.Held:
		return seat, ErrNoSession // it expired between the two questions
	}
	return answer.Seat, nil
}

// Played are the sessions of a user, those first that began first; those of everybody if user is empty. At most limit.
func (g *Gate) Played(ctx context.Context, user string, limit int) ([]session.Seat, error) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	seats, err := g.live.Seats(ctx, user, "", limit)
	if err != nil {
		g.failed("seats", err)
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return seats, nil
}

// Find is one session; where several groups were played with its id, the one seen last. user "" takes everybody's. ErrNoSession, ErrNotYours, ErrOverSession.
func (g *Gate) Find(ctx context.Context, user string, id session.ID) (session.Seat, error) {
	return g.find(ctx, user, id, backgroundTime)
}

func (g *Gate) find(ctx context.Context, user string, id session.ID, within time.Duration) (session.Seat, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	seats, err := g.seatsOf(ctx, id)
	if err != nil {
		return session.Seat{}, err
	}
	var found *session.Seat
	for i := range seats {
		if s := &seats[i]; (user == "" || s.UserID == user) && (found == nil || s.Seen.After(found.Seen)) {
			found = s
		}
	}
	switch {
	case found != nil:
		return *found, nil
	case len(seats) > 0:
		return session.Seat{}, ErrNotYours
	}
	return session.Seat{}, g.missing(ctx, id)
}

func (g *Gate) seatsOf(ctx context.Context, id session.ID) ([]session.Seat, error) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	seats, err := g.live.Seats(ctx, "", id, maxOfOne)
	if err != nil {
		g.failed("seats", err)
		return nil, fmt.Errorf("find session: %w", unreached(err))
	}
	return seats, nil
}

// unreached is an error of the live table. One that did not answer in time was not reached.
func unreached(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, session.ErrLive) {
		return fmt.Errorf("%w: %w", session.ErrLive, err)
	}
	return err
}

// missing tells whether a session that has no seat was ended.
func (g *Gate) missing(ctx context.Context, id session.ID) error {
	if g.endings.any(id, time.Now()) {
		return ErrOverSession
	}
	found, err := g.live.Renew(ctx, g.opt.Edge, []session.Renewal{{Key: session.Key{ID: id}, TTL: time.Second}})
	if err == nil && len(found) == 1 && found[0].State == session.Over {
		return ErrOverSession
	}
	return ErrNoSession
}

// Stop is the app's Stop: it releases a session that the app made and ends one that the edge sees. ErrNoSession, ErrNotYours, ErrOverSession.
func (g *Gate) Stop(ctx context.Context, user string, id session.ID) error {
	if _, err := g.Find(ctx, user, id); err != nil {
		return err
	}
	seats, err := g.seatsOf(ctx, id)
	if err != nil {
		return err
	}
	for _, seat := range seats {
		switch {
		case user != "" && seat.UserID != user:
		case !seat.API:
			if err := g.end(ctx, seat.Key, byOperator); err != nil {
				return err
			}
		default:
			if err := g.live.Release(ctx, "", seat.Key); err != nil {
				return fmt.Errorf("release session: %w", err)
			}
			g.released(seat.Key)
		}
	}
	return nil
}

// released has a session that goes on all the same ask for a seat.
func (g *Gate) released(k session.Key) {
	if s, ok := g.table.Get(k); ok {
		s.Lease.Mu.Lock()
		s.Lease.Seated = false
		s.Lease.Lapse()
		s.Lease.Mu.Unlock()
	}
}
