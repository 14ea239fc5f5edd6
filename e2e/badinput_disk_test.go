package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of its own, of so many bytes, gone at the end of the test.
func smallDisk(t testing.TB, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount a small disk, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a file until there is no room.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// readiness is /readyz.
type readiness struct {
	Ready  bool
	Checks []struct {
		Name, Error string
		OK          bool
	}
}

func (e *edge) readiness() (r readiness, status int, err error) {
	res, err := client.Get(e.admin + "/readyz")
	if err != nil {
		return r, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	return r, res.StatusCode, err
}

// failing waits until /readyz says 503 and names each of the checks, with a reason.
func (e *edge) failing(t testing.TB, names ...string) {
	t.Helper()
	eventually(t, 20*time.Second, "/readyz names what fails", func() error {
		r, status, err := e.readiness()
		if err != nil {
			return err
		}
		failed := make(map[string]bool)
		for _, c := range r.Checks {
			failed[c.Name] = !c.OK && c.Error != ""
		}
		for _, name := range names {
			if status != http.StatusServiceUnavailable || r.Ready || !failed[name] {
				return fmt.Errorf("%d, %+v", status, r)
			}
		}
		return nil
	})
}

// TestBadInputFullDisk: the disk fills up under the edge. Listeners hear nothing of it; operators do. When there is room again, all that
// was heard is in the database, to the byte.
func TestBadInputFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 8<<20)
	g := startGood(t)
	e := startEdgeAt(t, edgeConfig, filepath.Join(disk, "data"), g.streams(), "")
	c := startCrowd(t, e)
	visitor := floodClient(t)
	knock(t, visitor, e.listen+"/good/master.m3u8", "203.0.113.1", "early") // will be idle, and to be finalised, when the disk is full
	time.Sleep(2 * time.Second)                                             // something is stored

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	e.failing(t, "store", "recorder", "journal")
	fill(t, ballast) // what the edge gave back meanwhile
	logged := len(e.proc.output(t))
	for n := range 5 {
		if res, text := knock(t, visitor, e.listen+"/good/master.m3u8", fmt.Sprintf("203.0.113.%d", n), "late"); res.StatusCode != http.StatusOK {
			t.Errorf("with a full disk: %s %s", res.Status, text)
		}
		time.Sleep(2 * time.Second)
	}
	for _, name := range []string{"earshot_store_errors_total", "earshot_spill_errors_total", "earshot_journal_errors_total"} {
		if e.value(t, name) == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	if said := strings.Count(e.proc.output(t)[logged:], "\n"); said > 6 {
		t.Errorf("ten seconds with a full disk are %d lines in the log", said)
	}
	c.undisturbed(t)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the edge is ready again", func() error {
		r, status, err := e.readiness()
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d, %+v", status, r)
		}
		return err
	})
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
	heardAll(t, e, c)
}

// heardAll ends the HLS listener, then the edge, with the ICY listener on it to the last byte, and compares the books.
func heardAll(t *testing.T, e *edge, c *crowd) {
	t.Helper()
	e.waitMetric(t, "earshot_events_queued", "0")
	e.waitMetric(t, "earshot_spill_bytes", "0")
	if lost := e.value(t, "earshot_events_lost_total"); lost > 0 {
		t.Errorf("%v events lost", lost)
	}
	e.endNow(t)
	eventually(t, 10*time.Second, "both listeners notice that the edge has gone", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.noticed) < 2 {
			return fmt.Errorf("%q", c.noticed)
		}
		return nil
	})
	db := e.database(t)
	for group, want := range map[string]int64{"good": c.hlsBytes, "radio": c.icyBytes} {
		var got int64
		err := db.QueryRow(`SELECT coalesce(sum(bytes), 0) FROM listen_events WHERE group_key = ?`, group).Scan(&got)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %d bytes in the database, %d received", group, got, want)
		}
		t.Logf("%s: %d bytes received, %d stored", group, want, got)
	}
}
