package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitReady(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v", err)
		}
	}
}

// TestDemoDrains boots the whole program, listens to both of its streams, and ends it as SIGTERM does: the listeners are ended, it exits with
// 0, and no goroutine is left.
func TestDemoDrains(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	players, operators := freeAddr(t), freeAddr(t)
	ctx, terminate := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	exit := make(chan int)
	go func() {
		exit <- run(ctx, []string{"demo", "-listen", players, "-admin", operators, "-data", t.TempDir()}, &stdout, &stderr)
	}()
	waitReady(t, operators)
	var listeners sync.WaitGroup
	for _, path := range []string{"/radio.mp3", "/live/hi/index.m3u8", "/"} {
		resp, err := http.Get("http://" + players + path)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 300)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		listeners.Go(func() { io.Copy(io.Discard, resp.Body); resp.Body.Close() })
	}
	terminate()
	select {
	case code := <-exit:
		if code != exitOK {
			t.Errorf("exit code %d\n%s", code, &stderr)
		}
	case <-time.After(drainRequests + drainListeners + 10*time.Second):
		t.Fatal("it does not end")
	}
	listeners.Wait()
	if !strings.Contains(stdout.String(), "http://"+players+"/") {
		t.Errorf("it does not say where it is: %s", &stdout)
	}
}

// TestServeRefuses: what cannot be served is said before anything is.
func TestServeRefuses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	data, players, operators := t.TempDir(), freeAddr(t), freeAddr(t)
	write := func(data, players string) string {
		file := filepath.Join(t.TempDir(), "edge.yaml")
		text := fmt.Sprintf("listen: %q\nadmin: %q\ndata: %q\nstreams:\n  - {stream: a, path: /a, icy: http://127.0.0.1:1/a}\n", players, operators, data)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	ctx, terminate := context.WithCancel(t.Context())
	exit := make(chan int)
	go func() {
		exit <- run(ctx, []string{"serve", "-config", write(data, players)}, io.Discard, io.Discard)
	}()
	waitReady(t, operators)
	for _, c := range []struct{ data, players, want string }{
		{data, freeAddr(t), "another earshot is running in " + data},
		{t.TempDir(), players, "address already in use"},
		{"/dev/null/x", freeAddr(t), "data: "},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"serve", "-config", write(c.data, c.players)}, io.Discard, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("exit code %d, %q; want it to say %q", code, &stderr, c.want)
		}
	}
	terminate()
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
