package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// earshot is the binary, built once by TestMain.
var earshot string

// edge is the real binary, running.
type edge struct {
	listen, admin string // URLs without a path
	data          string
	proc          *process
}

// The times are short so that a test sees a session end; the proportions are the defaults'.
const edgeConfig = `listen: %q
admin: %q
data: %q
edge: e2e
listening: {slice: 2s, idle: 5s, minimum: 5s}
streams:
%s`

// startEdge runs `earshot serve` in front of the streams (entries of the configuration's list) and waits until it is ready. When the
// test ends the edge is asked to stop, and must exit with 0.
func startEdge(t testing.TB, streams ...string) *edge {
	t.Helper()
	dir := t.TempDir()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	e := &edge{listen: "http://" + listen, admin: "http://" + admin, data: filepath.Join(dir, "data")}
	config := filepath.Join(dir, "earshot.yaml")
	text := fmt.Sprintf(edgeConfig, listen, admin, e.data, strings.Join(streams, ""))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e.run(t, "serve", "-config", config)
	return e
}

// startDemo runs `earshot demo`.
func startDemo(t testing.TB) *edge {
	t.Helper()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	e := &edge{listen: "http://" + listen, admin: "http://" + admin}
	e.run(t, "demo", "-listen", listen, "-admin", admin)
	return e
}

func (e *edge) run(t testing.TB, args ...string) {
	t.Helper()
	e.proc = start(t, earshot, args...)
	t.Cleanup(func() { e.stop(t) })
	e.proc.ready(t, 30*time.Second, "the edge is ready", func() error {
		_, err := get(e.admin + "/readyz")
		return err
	})
}

// stop asks the edge to end as an operator would.
func (e *edge) stop(t testing.TB) {
	t.Helper()
	e.proc.signal(syscall.SIGTERM)
	if err := e.proc.wait(t, 30*time.Second); err != nil {
		t.Errorf("the edge, asked to stop: %v", err)
	}
}

// hlsStream and icyStream are entries of the configuration.
func hlsStream(group, path, origin string) string {
	return fmt.Sprintf("  - {group: %q, path: %q, hls: %q}\n", group, path, origin)
}

func icyStream(stream, path, origin string) string {
	return fmt.Sprintf("  - {stream: %q, path: %q, icy: %q}\n", stream, path, origin)
}
