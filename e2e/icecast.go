package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	sourcePassword = "e2e-source"
	adminPassword  = "e2e-admin"
)

// icecast is a real Icecast with nothing on air yet.
type icecast struct {
	host string // 127.0.0.1:port
}

// Icecast refuses to run as root: started as root, it changes to a user that owns nothing, so that it logs to the output it has and
// to no file. The burst is Icecast's default.
const icecastConfig = `<icecast>
  <hostname>127.0.0.1</hostname>
  <location>end-to-end tests</location>
  <admin>nobody@radio.example</admin>
  <limits><burst-size>65535</burst-size></limits>
  <authentication>
    <source-password>` + sourcePassword + `</source-password>
    <admin-user>admin</admin-user>
    <admin-password>` + adminPassword + `</admin-password>
  </authentication>
  <listen-socket><port>%d</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths>
    <webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>2</loglevel></logging>
  <security><chroot>0</chroot>%s</security>
</icecast>
`

func startIcecast(t testing.TB) *icecast {
	t.Helper()
	owner := ""
	if os.Geteuid() == 0 {
		owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
	}
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "icecast.xml")
	if err := os.WriteFile(config, fmt.Appendf(nil, icecastConfig, port, owner), 0o644); err != nil {
		t.Fatal(err)
	}
	program := start(t, "icecast2", "-c", config)
	i := &icecast{host: fmt.Sprintf("127.0.0.1:%d", port)}
	eventually(t, 10*time.Second, "Icecast answers", func() error {
		if program.ended() {
			how := program.cmd.ProcessState
			if how.ExitCode() >= 0 {
				t.Fatalf("Icecast does not start: %v", how)
			}
			// Icecast 2.4.4 dies of a segmentation fault in one start of some hundred.
			t.Logf("Icecast: %v; once more", how)
			program = start(t, "icecast2", "-c", config)
		}
		_, err := i.listeners()
		return err
	})
	return i
}

func (i *icecast) url(mount string) string { return "http://" + i.host + mount }

// listeners returns how many listeners each mount on air has, as Icecast counts them.
func (i *icecast) listeners() (map[string]int, error) {
	body, err := get(i.url("/status-json.xsl"))
	if err != nil {
		return nil, err
	}
	// One mount is an object, several are an array, and none is nothing.
	var status struct {
		Icestats struct{ Source json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		return nil, fmt.Errorf("status-json.xsl: %w in %s", err, body)
	}
	raw := status.Icestats.Source
	if len(raw) > 0 && raw[0] != '[' {
		raw = json.RawMessage("[" + string(raw) + "]")
	}
	var sources []struct {
		ListenURL string
		Listeners int
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &sources); err != nil {
			return nil, fmt.Errorf("status-json.xsl: %w in %s", err, body)
		}
	}
	count := make(map[string]int)
	for _, s := range sources {
		count[s.ListenURL[strings.LastIndexByte(s.ListenURL, '/'):]] = s.Listeners
	}
	return count, nil
}

// waitListeners waits until Icecast counts want listeners on the mount.
func (i *icecast) waitListeners(t testing.TB, limit time.Duration, mount string, want int) {
	t.Helper()
	eventually(t, limit, "listeners of "+mount+" at Icecast", func() error {
		count, err := i.listeners()
		if err != nil {
			return err
		}
		if n, onAir := count[mount]; !onAir || n != want {
			return fmt.Errorf("%d listeners, not %d (on air: %v)", n, want, onAir)
		}
		return nil
	})
}

// setTitle changes the mount's title as an encoder does.
func (i *icecast) setTitle(t testing.TB, mount, title string) {
	t.Helper()
	query := url.Values{"mount": {mount}, "mode": {"updinfo"}, "charset": {"UTF-8"}, "song": {title}}
	req, err := http.NewRequest(http.MethodGet, i.url("/admin/metadata?"+query.Encode()), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("source", sourcePassword)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("Icecast does not take the title %q: %s", title, res.Status)
	}
}
