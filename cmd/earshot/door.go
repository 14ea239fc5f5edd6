package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/admin"
	"earshot/auth"
	"earshot/blackout"
	"earshot/config"
	"earshot/gate"
	"earshot/listen"
	"earshot/proxy"
	"earshot/session"
	"earshot/session/redislive"
)

// openDoor makes the gate with all that it asks: who listeners are, where they are, and the table of seats.
func (e *edge) openDoor(signer *session.Signer, registry *prometheus.Registry) (err error) {
	cfg := e.cfg
	if e.auth, err = newAuth(cfg, e.db, e.log, auth.NewMetrics(registry)); err != nil {
		return err
	}
	if cfg.Geo != "" {
		if e.geo, err = blackout.OpenGeo(cfg.Geo, e.log); err != nil {
			return cfg.Problem("geo", err.Error())
		}
		e.geo.Register(registry)
	}
	rules, err := blackouts(cfg)
	if err != nil {
		return err
	}
	if e.live, err = openLive(cfg, registry, e); err != nil {
		return err
	}
	opt := gate.Options{
		Table: e.table, NewPerAddress: cfg.NewSessionsPerAddress, Live: e.live, Many: cfg.Live != "", Edge: edgeName(cfg), Signer: signer,
		Auth:   e.auth,
		Limits: limits(cfg), OnLimit: session.Policy(cfg.OnLimit), SeatTTL: cfg.SeatTTL, APITTL: cfg.APISessionTTL, OnLiveError: gate.LiveError(cfg.OnLiveError),
		Rules: rules, Geo: e.geo, Keeper: e.db, Retain: cfg.Retention.Evidence, IP: e.storedIP,
		Active: e.active, Heard: e.heard, Moved: e.moved, Over: e.over,
		Log: e.log, Metrics: gate.NewMetrics(registry, e.table),
	}
	if cfg.Auth != nil {
		opt.Tokens, opt.EnforceExpiry = cfg.Auth.Tokens, cfg.Auth.EnforceExpiry
	}
	e.gate = gate.New(opt)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e.gate.Restore(ctx)
	if e.auth != nil {
		if err := e.auth.Restore(ctx); err != nil {
			e.log.Error("which sessions the auth callback is yet to be told of could not be read; it is told after the next start", "err", err)
		}
	}
	return nil
}

// checkDoor looks at what the gate would be made of: files are read, and nobody is asked.
func checkDoor(cfg *config.Config) error {
	a, err := newAuth(cfg, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	if a != nil {
		a.Close()
	}
	if cfg.Geo != "" {
		if _, err := blackout.OpenGeo(cfg.Geo, slog.New(slog.DiscardHandler)); err != nil {
			return cfg.Problem("geo", err.Error())
		}
	}
	_, err = blackouts(cfg)
	return err
}

// newAuth is nil where everybody may listen and no user has a token of his own.
func newAuth(cfg *config.Config, removals auth.Removals, log *slog.Logger, metrics *auth.Metrics) (*auth.Auth, error) {
	if cfg.Auth == nil {
		return nil, nil
	}
	opt := auth.Options{Removals: removals, Idle: cfg.Listening.Idle, UserAgent: product(), Log: log, Metrics: metrics}
	if j := cfg.Auth.JWT; j != nil {
		opt.JWT = &auth.JWT{Secret: j.Secret, Keys: j.Keys, JWKS: j.JWKS, User: j.User, Device: j.Device, DeviceType: j.DeviceType,
			Streams: j.Streams, Param: j.Param, Leeway: j.Leeway, NeedsUser: needsUser(cfg)}
	}
	if s := cfg.Auth.SignedURL; s != nil {
		opt.SignedURL = &auth.SignedURL{Key: s.Key, Param: s.Param}
	}
	if c := cfg.Auth.Callback; c != nil {
		opt.Callback = &auth.Callback{URL: c.URL, Style: c.Style, Timeout: c.Timeout, OnError: c.OnError}
	}
	a, err := auth.New(opt)
	if err != nil {
		return nil, authProblem(cfg, err)
	}
	return a, nil
}

// needsUser tells whether a token must name a user: where users are counted, one without would be counted nowhere. A backend that is asked as well may name him.
func needsUser(cfg *config.Config) bool {
	counted := slices.ContainsFunc(cfg.Limits, func(l config.Limit) bool { return l.Per == "user" })
	return cfg.Auth.JWT.UserSet || counted && cfg.Auth.Callback == nil
}

// authProblem is what is wrong with who may listen, at its line: the text begins with the key, where there is one to blame.
func authProblem(cfg *config.Config, err error) error {
	key, text, ok := strings.Cut(err.Error(), ": ")
	if !ok || !strings.HasPrefix(key, "auth.") || strings.Contains(key, " ") {
		key, text = "auth", strings.TrimPrefix(err.Error(), "auth: ")
	}
	return cfg.Problem(key, text)
}

// blackouts turns the configured rules into the gate's. What is wrong with one names its line.
func blackouts(cfg *config.Config) (rules []blackout.Rule, err error) {
	var problems config.Errors
	for i := range cfg.Blackouts {
		b := &cfg.Blackouts[i]
		r := blackout.Rule{ID: b.ID, Streams: b.Streams, Where: audience(b.Where), Except: audience(b.Except), From: b.From, To: b.To,
			Schedule: b.Schedule, Action: blackout.Action(b.Action), Unknown: blackout.Action(b.Unknown), Message: b.Message}
		field, wrong := "schedule", error(nil)
		if _, wrong = blackout.ParseSchedule(b.Schedule); wrong == nil {
			field, wrong = "", r.Check()
		}
		if wrong != nil {
			var found config.Errors
			if errors.As(cfg.BlackoutProblem(i, field, wrong.Error()), &found) {
				problems = append(problems, found...)
			}
		}
		rules = append(rules, r)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if _, err := blackout.Compile(rules); err != nil {
		return nil, cfg.Problem("blackouts", err.Error())
	}
	return rules, nil
}

func audience(a config.Audience) blackout.Audience {
	return blackout.Audience{Country: a.Country, Subdivision: a.Subdivision, Metro: a.Metro, Postal: a.Postal, Network: a.Network, Device: a.Device}
}

func limits(cfg *config.Config) (all []gate.Limit) {
	for _, l := range cfg.Limits {
		all = append(all, gate.Limit{Per: gate.Per(l.Per), DeviceType: l.DeviceType, Group: l.Group, Max: l.Max})
	}
	return all
}

// openLive is the table of seats: this edge's own, or the one that edges share.
func openLive(cfg *config.Config, registry *prometheus.Registry, e *edge) (session.Live, error) {
	if cfg.Live == "" {
		return session.NewMemory(cfg.MaxSessions), nil
	}
	table, err := redislive.Open(redislive.Options{URL: cfg.Live, Log: e.log, Metrics: redislive.NewMetrics(registry)})
	if err != nil {
		return nil, cfg.Problem("live", err.Error())
	}
	return table, nil
}

// storedIP is an address as it may be stored.
func (e *edge) storedIP(a netip.Addr) string { return proxy.IPPolicy(e.cfg.Privacy.IP).Apply(a) }

// active tells whether something is on its way to a session.
func (e *edge) active(s *session.Session) bool {
	a, ok := e.book.Find(s.Key)
	return ok && a.Snapshot().Transfers > 0
}

// heard is what a session has had.
func (e *edge) heard(s *session.Session) (bytes int64, media, since time.Duration) {
	since = s.Seen().Sub(s.Issued)
	a, ok := e.book.Find(s.Key)
	if !ok {
		return 0, 0, max(0, since)
	}
	snap := a.Snapshot()
	return snap.Bytes, snap.Media, max(0, snap.Last.Sub(s.Issued))
}

// moved has a session's account follow its listener.
func (e *edge) moved(s *session.Session) {
	if a, ok := e.book.Find(s.Key); ok {
		l := s.Listener()
		a.Move(e.storedIP(l.Address), l.Agent, l.Country)
	}
}

// over notes why a session ended.
func (e *edge) over(s *session.Session, reason string) {
	if a, ok := e.book.Find(s.Key); ok {
		a.Close(overReasons[reason])
	}
}

// overReasons are the gate's reasons as the books have them.
var overReasons = map[string]listen.Reason{"ended": listen.Ended, "expired": listen.Expired, session.Evicted: listen.Evicted, "not-allowed": listen.Refused,
	"blackout": listen.Blackout, "banned": listen.Banned}

// newApp is the app API.
func (e *edge) newApp(registry *prometheus.Registry, trusted *proxy.TrustedProxies) *admin.App {
	return admin.NewApp(admin.AppOptions{Gate: e.gate, Book: e.book, Trusted: trusted.Address, Outward: trusted.Outward, Log: e.log, Registerer: registry})
}

// beforePlayers has the app API answer on the players' listeners.
func beforePlayers(app, players http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			app.ServeHTTP(w, r)
			return
		}
		players.ServeHTTP(w, r)
	})
}
