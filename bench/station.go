//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// stationCommand makes this program the source client of an Icecast; it is for the program itself. A process of its own, so that the
// load's thread never has to wait for it.
const stationCommand = "serve-station"

const (
	stationMount = "/live.mp3"
	stationTitle = "Bench - " // and a number
	titleEvery   = 10 * time.Second
)

// startStation has a station feed the Icecast at that address, and waits until it is on air.
func startStation(dir, icecast string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, stationCommand, icecast)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process, however that ends
		return nil, err
	}
	p, err := start(dir, loadCore(), cmd)
	if err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		defer p.end()
		return nil, p.failed("does not get on air")
	}
	return p, nil
}

// serveStation sends the programme in real time to an Icecast, and changes its title now and then. It says on out when it is on air, and
// ends when in does.
func serveStation(icecast string, out io.Writer, in io.Reader) error {
	c, err := net.Dial("tcp", icecast)
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, in)
		c.Close()
	}()
	req := &http.Request{Header: make(http.Header)}
	req.SetBasicAuth("source", icecastPassword)
	fmt.Fprintf(c, "SOURCE %s HTTP/1.0\r\nAuthorization: %s\r\nContent-Type: audio/mpeg\r\nice-name: Bench\r\nice-public: 0\r\nice-bitrate: 128\r\n\r\n",
		stationMount, req.Header.Get("Authorization"))
	said, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(said, " 200 ") {
		return fmt.Errorf("the origin answers %q to the source: %w", said, err)
	}
	if err := setTitle(icecast, 0); err != nil {
		return err
	}
	fmt.Fprintln(out, "on air")
	go changeTitles(icecast)
	return play(c)
}

// play keeps to the clock: what is due is sent forty times a second, as whole frames.
func play(w io.Writer) error {
	began, sent := time.Now(), int64(0)
	for range time.Tick(25 * time.Millisecond) {
		due := framesAt(int64(time.Since(began).Seconds() * audioRate))
		var b []byte
		for ; sent < due; sent++ {
			b = appendFrame(b, sent)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func changeTitles(icecast string) {
	n := 1
	for range time.Tick(titleEvery) {
		if err := setTitle(icecast, n); err != nil {
			fmt.Fprintln(os.Stderr, err) // the title before stays; the programme goes on
		}
		n++
	}
}

func setTitle(icecast string, n int) error {
	query := url.Values{"mount": {stationMount}, "mode": {"updinfo"}, "song": {fmt.Sprintf("%s%d", stationTitle, n)}}
	req, err := http.NewRequest(http.MethodGet, "http://"+icecast+"/admin/metadata?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("source", icecastPassword)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the origin does not take a title: %s", resp.Status)
	}
	return nil
}
