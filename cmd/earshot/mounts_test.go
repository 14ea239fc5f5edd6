package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"earshot/config"
	"earshot/relay"
)

// What the configuration says of a mount reaches the relay.
func TestMountIsWired(t *testing.T) {
	intro := filepath.Join(t.TempDir(), "intro.mp3")
	if err := os.WriteFile(intro, []byte("audio"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`streams:
  - {stream: a, path: /a, icy: ["http://icecast/a", %q], burst: 5s, rewind: 2m, max_listeners: 7, overflow: "http://other/a", intro: %q,
     charset: koi8-r, always_on: true, linger: 1s, patience: 2s, stall: 3s, follow: [cdn]}
  - {stream: b, path: /b, icy: "http://icecast/b"}
  - {group: c, path: /c/, hls: "http://packager/c/"}
`, intro, intro)
	cfg, err := config.Parse("a.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := streams(cfg)
	want := relay.Mount{BurstTime: 5 * time.Second, Rewind: 2 * time.Minute, MaxListeners: 7, Intro: intro, Charset: "koi8-r", AlwaysOn: true,
		Linger: time.Second, Patience: 2 * time.Second, Stall: 3 * time.Second, Follow: []string{"cdn"}}
	if !reflect.DeepEqual(got[0].Mount, want) || got[0].Overflow != "http://other/a" || len(got[0].ICY) != 2 {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	want = relay.Mount{Burst: 64 << 10, Rewind: time.Minute, Linger: 15 * time.Second, Patience: 5 * time.Minute, Stall: 10 * time.Second}
	if !reflect.DeepEqual(got[1].Mount, want) {
		t.Errorf("got  %+v\nwant %+v", got[1].Mount, want)
	}
	if !reflect.DeepEqual(got[2].Mount, relay.Mount{}) {
		t.Errorf("a group has %+v", got[2].Mount)
	}
	if got := namedOrigins(cfg); len(got) != 3 {
		t.Errorf("a file is no origin: %+v", got)
	}
	if got := mounts(cfg); len(got) != 2 || got[0].Key != "a" || got[1].Path != "/b" {
		t.Errorf("%+v", got)
	}
}

// Who rotates logs does not care that the program is only starting, or at its end: SIGHUP must not kill it then, with events in its hands.
func TestHangupAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	text := fmt.Sprintf("data: %q\naccess_log: %q\nstreams:\n  - {stream: a, path: /a, icy: http://127.0.0.1:1/a}\n", filepath.Join(dir, "data"), filepath.Join(dir, "log"))
	cfg, err := config.Parse("edge.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEdge(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // the signal would end this process
	}
	hangUp() // before the loops
	stop := e.startLoops()
	if err := stop(); err != nil {
		t.Error(err)
	}
	hangUp() // after them
	if err := e.close(); err != nil {
		t.Error(err)
	}
}

// The access log is opened again on SIGHUP, and what is still to be written is when the program ends.
func TestAccessLogOfProgram(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	dir, players, operators := t.TempDir(), freeAddr(t), freeAddr(t)
	path, file := filepath.Join(dir, "access.log"), filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("listen: %q\nadmin: %q\ndata: %q\naccess_log: %q\nstreams:\n  - {stream: a, path: /a, icy: http://127.0.0.1:1/a}\n",
		players, operators, filepath.Join(dir, "data"), path)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, terminate := context.WithCancel(t.Context())
	exit := make(chan int)
	go func() { exit <- run(ctx, []string{"serve", "-config", file}, io.Discard, io.Discard) }()
	waitReady(t, operators)
	ask := func() {
		resp, err := http.Head("http://" + players + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	ask()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not opened again")
		}
	}
	ask()
	terminate()
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{path, path + ".1"} {
		text, err := os.ReadFile(name)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"HEAD /a HTTP/1.1" 200 0 "-" "Go-http-client/1.1" 0`) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
