package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"earshot/config"
)

// TestOrigins: a stream whose first origin is gone and whose second wants a password, on TLS with a certificate of its own. A
// listener gets it; when that is gone too he is told so in the stream's name.
func TestOrigins(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "edge" || password != "hunter2" || r.Header.Get("X-Token") != "hunter2" || r.ProtoMajor != 2 {
			t.Errorf("asked over %s with %v", r.Proto, r.Header)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n")
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	dir, players, operators := t.TempDir(), freeAddr(t), freeAddr(t)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ORIGIN_PASSWORD", "hunter2")
	host := strings.TrimPrefix(s.URL, "https://")
	text := fmt.Sprintf("listen: %q\nadmin: %q\ndata: %q\nstreams:\n"+
		"  - {group: news, path: /news/, hls: [\"http://%s/live/\", %q]}\n"+
		"origins:\n  - {host: %q, username: edge, password: \"${ORIGIN_PASSWORD}\", headers: {X-Token: \"${ORIGIN_PASSWORD}\"}, ca: %q}\n",
		players, operators, filepath.Join(dir, "data"), freeAddr(t), s.URL+"/live/", host, ca)
	file := filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, terminate := context.WithCancel(t.Context())
	exit := make(chan int)
	go func() { exit <- run(ctx, []string{"serve", "-config", file}, io.Discard, io.Discard) }()
	waitReady(t, operators)
	get := func(url string) (int, string) {
		t.Helper()
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := get("http://" + players + "/news/a.m3u8"); status != http.StatusOK || !strings.Contains(body, "1.ts") {
		t.Errorf("%d %s", status, body)
	}
	s.CloseClientConnections()
	s.Listener.Close()
	for _, name := range []string{"b", "c", "d", "e", "f"} {
		status, body := get("http://" + players + "/news/" + name + ".m3u8")
		if status != http.StatusBadGateway || !strings.Contains(body, "news") || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, body := get("http://" + operators + "/metrics"); !strings.Contains(body, "earshot_origin_up{origin=\"news/1\"} 0\n") || strings.Contains(body, "hunter2") {
		t.Error("the metrics do not say that the origin is down")
	}
	terminate()
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestRelayAccess: the relay gets the same settings as HLS does.
func TestRelayAccess(t *testing.T) {
	hosts, err := originHosts(&config.Config{Origins: []config.Origin{{Host: "icecast:8000", Username: "a", Password: "b", Headers: http.Header{"X": {"y"}}, HeaderTimeout: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	access := relayAccess(hosts)
	a := access(&url.URL{Scheme: "http", Host: "icecast:8000", Path: "/x"})
	if a.Username != "a" || a.Password != "b" || a.Header.Get("X") != "y" || a.HeaderTimeout != 5 {
		t.Errorf("%+v", a)
	}
	if a := access(&url.URL{Scheme: "http", Host: "icecast"}); a.Username != "" || a.Header != nil {
		t.Errorf("another: %+v", a)
	}
}
