package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"earshot/config"
)

func serveCommand(ctx context.Context, args []string, _, stderr io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	file := configFlag(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if err := needsConfig(flags, *file, stderr); err != nil {
		return err
	}
	cfg, err := config.Load(*file)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	slog.SetDefault(log) // takes in what libraries print
	for _, notice := range cfg.Notices() {
		log.Warn(notice)
	}
	e, err := newEdge(cfg, log)
	if err != nil {
		return err
	}
	return e.run(ctx)
}

// The drain: how long each step of an orderly end may take.
const (
	drainRequests  = 10 * time.Second // for segments on their way
	drainListeners = 5 * time.Second  // for ICY listeners to be let go
)

// run serves until ctx is done, then drains: it stops accepting, ends the listeners, and stores what all were sent.
func (e *edge) run(ctx context.Context) error {
	media, err := e.listenAll()
	if err != nil {
		return errors.Join(err, e.close())
	}
	players := newPlayerServer(e.front, e.log)
	operators := &http.Server{Handler: e.admin, ReadHeaderTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute}

	failed := make(chan error, len(media)+1)
	var serving sync.WaitGroup
	serve := func(s *http.Server, l net.Listener) {
		serving.Go(func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
		})
	}
	stopLoops := e.startLoops()
	for i, l := range media {
		serve(players, l)
		at := e.cfg.Listen[i]
		e.log.Info("listening for players", "addr", l.Addr().String(), "tls", at.TLS != nil, "proxy_protocol", at.ProxyProtocol)
	}
	serve(operators, e.adminListener)
	e.log.Info("listening for operators", "addr", e.adminListener.Addr().String())
	e.proxy.Connect()
	if e.ready != nil {
		e.ready()
	}

	var cause error
	select {
	case <-ctx.Done():
		e.log.Info("draining")
	case cause = <-failed:
	}
	e.drainAdmin()
	e.drain(players)
	err = errors.Join(cause, stopLoops())
	operators.Close()
	serving.Wait()
	return errors.Join(err, e.close())
}

// listenAll opens every address before anything is served.
func (e *edge) listenAll() (media []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range media {
				l.Close()
			}
		}
	}()
	for i := range e.cfg.Listen {
		l, err := e.listenPlayers(i)
		if err != nil {
			return media, err
		}
		media = append(media, l)
	}
	e.adminListener, err = net.Listen("tcp", e.cfg.Admin.Addr)
	if err != nil {
		return media, fmt.Errorf("listen for operators: %w", err)
	}
	return media, nil
}

// drain ends what players still receive. ICY listeners and requests are let go at the same time.
func (e *edge) drain(players *http.Server) {
	var both sync.WaitGroup
	both.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainRequests)
		defer cancel()
		if err := players.Shutdown(ctx); err != nil {
			e.log.Warn("some requests were cut off", "err", err)
			players.Close()
		}
	})
	both.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainListeners)
		defer cancel()
		if err := e.relay.Shutdown(ctx); err != nil {
			e.log.Warn("some listeners were not let go in time", "err", err)
		}
	})
	both.Wait()
	e.proxy.Close()
	e.origin.Close()
}

// startLoops runs what goes on in the background. The function it returns ends it in the order in which data flows:
// meters into events, events into the store.
func (e *edge) startLoops() (stop func() error) {
	var meters, records sync.WaitGroup
	metering, stopMeters := context.WithCancel(context.Background())
	recording, stopRecords := context.WithCancel(context.Background())
	var lost error
	records.Go(func() { lost = e.recorder.Run(recording) })
	meters.Go(func() { e.book.Run(metering) })
	meters.Go(func() { e.finaliser.Run(metering) })
	meters.Go(func() { e.sweep(metering) })
	meters.Go(func() { e.gate.Run(metering) })
	if e.auth != nil {
		meters.Go(func() { e.runAuth(metering) })
	}
	if e.geo != nil {
		meters.Go(func() { e.geo.Run(metering) })
	}
	meters.Go(func() { e.certificates.run(metering, lookAgain) })
	meters.Go(func() { e.reopenLog(metering) })
	return func() error {
		stopMeters()
		meters.Wait()
		stopRecords()
		records.Wait()
		return lost
	}
}

// sweep forgets the sessions that have been idle.
func (e *edge) sweep(ctx context.Context) {
	tick := time.NewTicker(min(max(e.cfg.Listening.Idle/10, 100*time.Millisecond), 10*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			e.gate.Sweep(e.idle(now))
		}
	}
}

func (e *edge) runAuth(ctx context.Context) {
	if err := e.auth.Run(ctx); err != nil && ctx.Err() == nil {
		e.log.Error("keys are not looked at any more", "err", err)
	}
}
