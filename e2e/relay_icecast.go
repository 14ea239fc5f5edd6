package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tower is a real Icecast that can be stopped and started again at its address. Titles go out in UTF-8, as most stations set it
// up, and not in Latin-1 with HTML's entities, which is Icecast's default for MP3 and AAC. The burst is small, so that what a new
// listener hears is soon all of it younger than the last title.
type tower struct {
	*icecast
	config string
	proc   *process
}

const towerBurst = 16 << 10

func startTower(t testing.TB) *tower {
	t.Helper()
	owner := ""
	if os.Geteuid() == 0 {
		owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
	}
	port := freePort(t)
	text := fmt.Sprintf(icecastConfig, port, owner)
	for old, changed := range map[string]string{
		"<burst-size>65535</burst-size>": fmt.Sprintf("<burst-size>%d</burst-size>", towerBurst),
		"<listen-socket>":                `<mount type="default"><charset>UTF-8</charset></mount><listen-socket>`,
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("Icecast's configuration has no %s", old)
		}
		text = strings.Replace(text, old, changed, 1)
	}
	w := &tower{icecast: &icecast{host: fmt.Sprintf("127.0.0.1:%d", port)}, config: filepath.Join(t.TempDir(), "icecast.xml")}
	if err := os.WriteFile(w.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.rise(t)
	return w
}

// rise starts Icecast at its address.
func (w *tower) rise(t testing.TB) {
	t.Helper()
	w.proc = start(t, "icecast2", "-c", w.config)
	eventually(t, 10*time.Second, "Icecast answers", func() error {
		if w.proc.ended() {
			how := w.proc.cmd.ProcessState
			if how.ExitCode() >= 0 {
				t.Fatalf("Icecast does not start: %v", how)
			}
			t.Logf("Icecast: %v; once more", how) // see startIcecast
			w.proc = start(t, "icecast2", "-c", w.config)
		}
		_, err := w.listeners()
		return err
	})
}

// fall ends Icecast, and with it every connection.
func (w *tower) fall() { w.proc.end() }

// noise is a source whose programme never repeats, so that two recordings fit together in one way only, and fills every bit rate.
func noise(seed int) string {
	return fmt.Sprintf("anoisesrc=color=pink:amplitude=0.3:sample_rate=44100:seed=%d,aformat=channel_layouts=stereo", seed)
}

// air has ffmpeg feed Icecast in real time with noise, and does not wait.
func (w *tower) air(t testing.TB, c codec, seed int) *process {
	t.Helper()
	args := append([]string{"-nostdin", "-hide_banner", "-loglevel", "warning", "-re", "-f", "lavfi", "-i", noise(seed)}, c.encode...)
	return start(t, "ffmpeg", append(args, "-content_type", c.contentType, "-ice_name", "Relay", "-ice_public", "0",
		fmt.Sprintf("icecast://source:%s@%s%s", sourcePassword, w.host, c.mount))...)
}

// waitOnAir waits until Icecast has the mounts.
func (w *tower) waitOnAir(t testing.TB, mounts ...string) {
	t.Helper()
	eventually(t, 15*time.Second, "the sources are on air", func() error {
		count, err := w.listeners()
		if err != nil {
			return err
		}
		for _, m := range mounts {
			if _, ok := count[m]; !ok {
				return fmt.Errorf("%s is not", m)
			}
		}
		return nil
	})
}
