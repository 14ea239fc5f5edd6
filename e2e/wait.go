package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// eventually waits until check returns nil, and fails the test with its last error if that takes longer than limit, but for the time that
// this machine stands still.
func eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	end := lived() + limit
	for {
		err := check()
		if err == nil {
			return
		}
		if lived() > end {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// client asks the servers of the tests; it keeps no connection, so that it never counts as a listener that lingers.
var client = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// get returns the body of a 200 answer.
func get(url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s: %s", url, res.Status, body)
	}
	return string(body), nil
}

// mustGet is get for what must be there.
func mustGet(t testing.TB, url string) string {
	t.Helper()
	body, err := get(url)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

var ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// freePort returns a loopback port for a program that cannot be told to choose one itself. It lies below the range that the
// kernel takes the ports of outgoing connections from, and is given once.
func freePort(t testing.TB) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	for range 200 {
		port := 20000 + rand.IntN(12000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}
