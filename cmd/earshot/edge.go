package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"earshot/admin"
	"earshot/auth"
	"earshot/blackout"
	"earshot/config"
	"earshot/gate"
	"earshot/listen"
	"earshot/origin"
	"earshot/origin/blob"
	"earshot/proxy"
	"earshot/relay"
	"earshot/session"
	"earshot/store"
)

// edge is the wired program.
type edge struct {
	cfg *config.Config
	log *slog.Logger

	lock      *os.File
	db        *store.SQLite
	recorder  *listen.Recorder
	book      *listen.Book
	finaliser *listen.Finaliser
	table     *session.Table
	auth      *auth.Auth    // nil: everybody may listen
	geo       *blackout.Geo // nil: nobody's place is known
	live      session.Live
	gate      *gate.Gate
	origin    *origin.Client
	relay     *relay.Relay
	proxy     *proxy.Proxy
	accessLog *proxy.AccessLog // nil: none
	hangup    chan os.Signal   // SIGHUP; nil: there is no access log
	admin     http.Handler

	certificates  *certificates
	drainAdmin    func()
	adminListener net.Listener
	front         http.Handler // serves players: the proxy, or what the demo puts before it
	ready         func()       // called once all is served; may be nil
}

// newEdge wires everything, from the store outwards, and takes up what an earlier process left.
func newEdge(cfg *config.Config, log *slog.Logger) (*edge, error) {
	e := &edge{cfg: cfg, log: log}
	e.takeHangups()
	if err := e.wire(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *edge) wire() (err error) {
	cfg, log := e.cfg, e.log
	if err := os.MkdirAll(cfg.Data, 0o750); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if e.lock, err = lockData(cfg.Data); err != nil {
		return err
	}
	signer, err := newSigner(cfg)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	if e.certificates, err = newCertificates(cfg.Listen, registry, log); err != nil {
		return err
	}
	metrics := listen.NewMetrics(registry)
	if err := e.openMeters(metrics); err != nil {
		return err
	}
	server := product()
	room, err := blob.Open(filepath.Join(cfg.Data, "cache"))
	if err != nil {
		return err
	}
	hosts, err := originHosts(cfg)
	if err != nil {
		return err
	}
	e.origin = origin.New(origin.Options{UserAgent: server, Hosts: hosts, Origins: namedOrigins(cfg), Memory: max(1, int64(cfg.Cache.Memory)),
		Disk: int64(cfg.Cache.Disk), Room: room, Log: log, Metrics: origin.NewMetrics(registry)})
	e.relay = relay.New(relay.Options{Log: log, Metrics: relay.NewMetrics(registry), UserAgent: server, Access: relayAccess(hosts), Dial: e.origin.Dial})
	players := proxy.NewMetrics(registry)
	if cfg.AccessLog != "" {
		if e.accessLog, err = proxy.OpenAccessLog(cfg.AccessLog, log, players); err != nil {
			return err
		}
	}
	if err := e.openDoor(signer, registry); err != nil {
		return err
	}
	trusted := proxy.TrustedProxies{Prefixes: cfg.TrustedProxies, Header: cfg.ClientIPHeader}
	opt := proxy.Options{
		Streams:   streams(cfg),
		Signer:    signer,
		Gate:      e.gate,
		Origin:    e.origin,
		Relay:     e.relay,
		Book:      e.book,
		Trusted:   trusted,
		Apps:      cfg.Auth != nil,
		IP:        proxy.IPPolicy(cfg.Privacy.IP),
		Server:    server,
		Edge:      edgeName(cfg),
		AccessLog: e.accessLog,
		Log:       log,
		Metrics:   players,
		Started:   metrics.Started,
	}
	if e.auth != nil {
		opt.Credentials, opt.CutPath, opt.Challenge = e.auth.Params(), e.auth.CutPath, e.auth.Challenge()
	}
	e.proxy = proxy.New(opt)
	e.front = e.proxy
	e.front = beforePlayers(e.newApp(registry, &trusted), e.proxy)
	operators := admin.New(admin.Options{Book: e.book, Table: e.table, Gate: e.gate, Relay: e.relay, Mounts: mounts(cfg), Gatherer: registry, Registerer: registry,
		Token: cfg.Admin.Token, Version: version(), Log: log, Checks: e.checks()})
	e.admin, e.drainAdmin = operators, operators.Drain
	return nil
}

// openMeters opens the store and everything between it and the meters, and recovers what a killed process had not stored.
func (e *edge) openMeters(metrics *listen.Metrics) error {
	cfg := e.cfg
	var err error
	if e.db, err = store.OpenSQLite(filepath.Join(cfg.Data, "earshot.db")); err != nil {
		return err
	}
	spill, err := listen.OpenSpill(filepath.Join(cfg.Data, "spill.log"))
	if err != nil {
		return err
	}
	journal, recovered, err := listen.OpenJournal(cfg.Data, e.log, metrics)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stored, err := recovered.Save(ctx, journal, e.db, spill)
	if err != nil {
		e.log.Error("what the journal holds could not be stored; it is kept for the next start", "err", err)
	}
	e.recorder = listen.NewRecorder(e.db, spill, e.log, metrics)
	e.book = listen.NewBook(listen.Options{Edge: edgeName(cfg), Slice: cfg.Listening.Slice, Idle: cfg.Listening.Idle, Log: e.log,
		Metrics: metrics, Recorder: e.recorder, Journal: journal}, strconv.FormatInt(time.Now().UnixNano(), 36))
	e.finaliser = &listen.Finaliser{Store: e.db, Book: e.book, Idle: cfg.Listening.Idle, Minimum: cfg.Listening.Minimum,
		KeepEvents: cfg.Retention.Events, KeepSessions: cfg.Retention.Sessions, Log: e.log, Metrics: metrics}
	return e.recoverSessions(ctx, recovered, stored)
}

// recoverSessions makes the sessions that were heard a moment ago live again, so that they go on and do not start anew.
func (e *edge) recoverSessions(ctx context.Context, recovered *listen.Recovered, stored int) error {
	since := time.Now().Add(-e.cfg.Listening.Idle)
	e.table = session.NewTable(e.cfg.MaxSessions)
	e.book.Restore(recovered, since)
	recent, err := e.db.Recent(ctx, since)
	if err != nil {
		e.log.Error("recent sessions could not be read; those that go on will start anew", "err", err)
	}
	for _, r := range recent {
		e.revive(r.Who, r.FromMS, r.TimeMS)
	}
	for _, a := range recovered.Accounts {
		if a.LastMS >= since.UnixMilli() {
			e.revive(a.Who, a.StartMS, a.LastMS)
		}
	}
	if n := e.table.Len(); n > 0 || stored > 0 {
		e.log.Info("recovered", "live_sessions", n, "events_stored", stored)
	}
	return nil
}

func (e *edge) revive(who listen.Who, fromMS, lastMS int64) {
	l := session.Listener{UserID: who.UserID, DeviceID: who.DeviceID, DeviceType: who.DeviceType, Agent: who.UserAgent, Country: who.Country}
	l.Address, _ = netip.ParseAddr(who.IP) // "" or a prefix's first address under privacy.ip
	s := session.New(who.Key, who.Kind, l)
	s.Issued, s.Revived = time.UnixMilli(fromMS), true
	if live, fresh, err := e.table.Admit(s, time.UnixMilli(lastMS)); err == nil && fresh {
		live.Start()
	}
}

// idle reports which sessions have gone: nothing asked for, and nothing on its way to them.
func (e *edge) idle(now time.Time) func(*session.Session) bool {
	before := now.Add(-e.cfg.Listening.Idle)
	return func(s *session.Session) bool {
		if !s.Seen().Before(before) {
			return false
		}
		a, ok := e.book.Find(s.Key)
		return !ok || a.Snapshot().Transfers == 0
	}
}

// checks are what the edge needs to be ready.
func (e *edge) checks() []admin.Check {
	return []admin.Check{
		{Name: "store", Probe: e.db.Ping},
		{Name: "recorder", Probe: func(context.Context) error {
			if e.recorder.Failing() {
				return errors.New("events cannot be stored; they wait in memory or in the spill file")
			}
			return nil
		}},
		{Name: "journal", Probe: func(context.Context) error {
			if !e.book.Healthy() {
				return errors.New("the journal cannot be written: a kill would lose what is not stored yet")
			}
			return nil
		}},
	}
}

// close lets go of the data directory. What was wired in part is closed in part.
func (e *edge) close() error {
	var errs []error
	if e.accessLog != nil {
		e.accessLog.Close()
	}
	if e.origin != nil {
		e.origin.Close()
	}
	if e.auth != nil {
		e.auth.Close()
	}
	if e.live != nil {
		errs = append(errs, e.live.Close())
	}
	if e.db != nil {
		errs = append(errs, e.db.Close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	if e.hangup != nil {
		signal.Stop(e.hangup)
	}
	return errors.Join(errs...)
}

func edgeName(cfg *config.Config) string {
	if cfg.Edge != "" {
		return cfg.Edge
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "edge"
	}
	return name
}

// newSigner signs with the configured secrets, or with one that is minted once and kept in the data directory.
func newSigner(cfg *config.Config) (*session.Signer, error) {
	var secrets []session.Secret
	for _, s := range cfg.Secrets {
		secrets = append(secrets, session.Secret{ID: s.ID, Key: []byte(s.Key)})
	}
	if len(secrets) == 0 {
		key, err := keptSecret(filepath.Join(cfg.Data, "grant.key"))
		if err != nil {
			return nil, err
		}
		secrets = []session.Secret{{ID: "local", Key: key}}
	}
	return session.NewSigner(secrets)
}

func keptSecret(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var key [32]byte
		rand.Read(key[:])
		text = []byte(base64.StdEncoding.EncodeToString(key[:]) + "\n")
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("the key that signs grants: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < 16 {
		return nil, fmt.Errorf("the key that signs grants: %s is damaged; remove it to have another minted", path)
	}
	return key, nil
}
