package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"earshot/proxy"
)

// newPlayerServer is the server of players: HTTP/1 on every listener, HTTP/2 beside it under TLS.
//
// Its times are against those who hold a connection without wanting anything. None limits how long an answer may take: a listener on a bad line
// takes what he takes. One who takes nothing at all is the data plane's affair ([proxy.TakeWithin]), which sees the bytes go.
func newPlayerServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:     h,
		ConnContext: proxy.ConnContext,
		// For the whole head of a request, and for a TLS handshake: a few packets, on the worst line there is.
		ReadHeaderTimeout: 15 * time.Second,
		// Between requests. A player that polls comes back within a target duration; a request that meets the end costs it a round trip.
		IdleTimeout: 2 * time.Minute,
		// A request's head: the longest URLs are 8 KB, and tokens go in headers too. HTTP/2 counts the same.
		MaxHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{
			// A player has a handful of requests under way; each costs a goroutine.
			MaxConcurrentStreams: 32,
			// A player sends nothing but heads.
			MaxReceiveBufferPerConnection: 64 << 10,
			MaxReceiveBufferPerStream:     64 << 10,
			// A connection over which nothing comes is asked whether it is alive. The answer may take long, for what is under way to a
			// slow listener goes before the question: a few hundred KB (proxy.lowerUnsent), at 1 KB/s.
			SendPingTimeout: time.Minute,
			PingTimeout:     2 * proxy.TakeWithin,
			// The kernel sees progress more finely (TCP_USER_TIMEOUT); where there is none such, this stands.
			WriteByteTimeout: proxy.TakeWithin,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// listenPlayers opens an address for players: TCP, the PROXY protocol on it, and TLS on that.
func (e *edge) listenPlayers(i int) (net.Listener, error) {
	at := &e.cfg.Listen[i]
	l, err := net.Listen("tcp", at.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for players: %w", err)
	}
	if at.ProxyProtocol {
		l = e.proxy.ListenProxied(l)
	} else {
		l = proxy.Listen(l)
	}
	if at.TLS != nil {
		l = tls.NewListener(l, e.certificates.all[i].config())
	}
	return l, nil
}
