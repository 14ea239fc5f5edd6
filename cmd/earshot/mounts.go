package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"earshot/admin"
	"earshot/config"
	"earshot/proxy"
	"earshot/relay"
)

// streams turns the configured streams into the data plane's.
func streams(cfg *config.Config) []*proxy.Stream {
	out := make([]*proxy.Stream, len(cfg.Streams))
	for i := range cfg.Streams {
		s := &cfg.Streams[i]
		out[i] = &proxy.Stream{Group: s.Group, Key: s.Stream, Path: s.Path, Match: s.Match,
			HLS: s.HLS, ICY: s.ICY, Query: s.Query, Follow: s.Follow, Overflow: s.Overflow, Open: s.Auth == "none", Mount: mount(s)}
	}
	return out
}

// mount is how an ICY stream is relayed; the data plane fills in what depends on the request.
func mount(s *config.Stream) relay.Mount {
	if len(s.ICY) == 0 {
		return relay.Mount{}
	}
	return relay.Mount{Burst: int64(s.Burst), BurstTime: s.BurstTime, Rewind: s.Rewind, MaxListeners: s.MaxListeners, Follow: s.Follow,
		Intro: s.Intro, Charset: s.Charset, AlwaysOn: s.AlwaysOn, Linger: s.Linger, Patience: s.Patience, Stall: s.Stall}
}

// mounts are the ICY streams with a path, which operators see whether anybody has asked for them or not.
func mounts(cfg *config.Config) (all []admin.Mount) {
	for i := range cfg.Streams {
		if s := &cfg.Streams[i]; len(s.ICY) > 0 && s.Match == nil {
			all = append(all, admin.Mount{Key: s.Stream, Path: s.Path})
		}
	}
	return all
}

// takeHangups has SIGHUP come to reopenLog, from the first moment until the last: it must not end a process that recovers what was heard, or
// stores it. Without an access log SIGHUP ends the process, as it does any.
func (e *edge) takeHangups() {
	if e.cfg.AccessLog != "" {
		e.hangup = make(chan os.Signal, 1)
		signal.Notify(e.hangup, syscall.SIGHUP)
	}
}

// reopenLog opens the access log again whenever the process is sent SIGHUP, which who rotates logs does once he has renamed them.
func (e *edge) reopenLog(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.hangup:
			e.accessLog.Reopen()
		}
	}
}
