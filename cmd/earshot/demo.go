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
	"os"
	"path/filepath"
	"time"

	"earshot/config"
	"earshot/demo"
)

// demoConfig is what the demo's edge runs with: the defaults, but for times short enough to watch.
const demoConfig = `listen: %q
admin: %q
data: %q
edge: demo
streams:
  - group: demo
    path: /live/
    hls: http://%[4]s/live/
  - stream: radio
    path: /radio.mp3
    icy: http://%[4]s/radio.mp3
listening: {slice: 5s, idle: 30s, minimum: 10s}
`

const demoText = `
An origin with a live HLS group and a live ICY mount, an edge in front of both, and a page that plays them:

  http://%[1]s/

Or listen from a terminal:

  curl -s -H 'Icy-MetaData: 1' http://%[1]s/radio.mp3 | head -c 200000 | strings | grep StreamTitle
  ffplay -nodisp http://%[1]s/live/master.m3u8
  mpv http://%[1]s/radio.mp3

and read what was heard (events every 5 s, sessions 30 s after the last byte):

  curl -s http://%[2]s/admin/v1/listeners
  curl -s http://%[2]s/metrics | grep ^earshot_
  sqlite3 %[3]s 'SELECT stream_key, bytes, duration_ms FROM listen_events'

Ctrl-C ends it.

`

func demoCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	players := flags.String("listen", "127.0.0.1:8080", "`address` for players and the page")
	operators := flags.String("admin", "127.0.0.1:8081", "loopback `address` for operators")
	data := flags.String("data", "", "`directory` to keep what was heard in; a temporary one if empty")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if *data == "" {
		dir, err := os.MkdirTemp("", "earshot-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*data = dir
	}
	source, err := startDemoOrigin()
	if err != nil {
		return err
	}
	defer source.close()
	text := fmt.Sprintf(demoConfig, *players, *operators, *data, source.addr)
	cfg, err := config.Parse("demo", []byte(text), os.LookupEnv)
	if err != nil {
		return err
	}
	e, err := newEdge(cfg, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	e.front = demoFront(e)
	e.ready = func() { fmt.Fprintf(stdout, demoText, *players, *operators, filepath.Join(*data, "earshot.db")) }
	return e.run(ctx)
}

// demoFront puts the page, and the counts that it shows, before the edge.
func demoFront(e *edge) http.Handler {
	players := e.front
	page := demo.Page(demo.PageConfig{HLS: "/live/master.m3u8", ICY: "/radio.mp3", Counts: "/counts.json"})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			page.ServeHTTP(w, r)
		case "/counts.json":
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "/admin/v1/listeners", "", ""
			e.admin.ServeHTTP(w, r)
		default:
			players.ServeHTTP(w, r)
		}
	})
}

// demoOrigin is the broadcaster's side of the demo, on a loopback port of its own.
type demoOrigin struct {
	addr   string
	origin *demo.Origin
	server *http.Server
	done   chan struct{}
}

func startDemoOrigin() (*demoOrigin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the demo's origin: %w", err)
	}
	o := &demoOrigin{addr: l.Addr().String(), origin: demo.NewOrigin(time.Now()), done: make(chan struct{})}
	o.server = &http.Server{Handler: o.origin, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(o.done)
		if err := o.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("the demo's origin ended", "err", err)
		}
	}()
	return o, nil
}

func (o *demoOrigin) close() {
	o.origin.Close()
	o.server.Close()
	<-o.done
}
