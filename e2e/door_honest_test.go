package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDoorDoubleSockets: AVPlayer and Safari look at a mount with two bytes of it, and then open it twice, of which they read one or both. They are one
// listener, who has one seat.
func TestDoorDoubleSockets(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.mount("radio")+o.mount("open-radio", "auth: none"), doorTokens+doorBrief+
		"limits: [{per: user, max: 1}, {per: address, group: open-radio, max: 1}]\n")
	for name, c := range map[string]struct{ url, address, user string }{
		"one per user":    {d.listen + "/radio.mp3?token=" + token(t, "safari"), home, "safari"},
		"one per address": {d.listen + "/open-radio.mp3", away, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := radioAsk{url: c.url, address: c.address, agent: "AppleCoreMedia/1.0.0",
				header: map[string]string{"X-Playback-Session-Id": "apple-" + c.user, "Icy-MetaData": "1", "Range": "bytes=0-1"}}
			probe := ask.listens(t)
			probe.plays(t)
			probe.leave()
			delete(ask.header, "Range")
			first := ask.listens(t)
			first.plays(t)
			second := ask.listens(t)
			second.plays(t)
			first.listensFor(t, briefTTL)
			second.listensFor(t, briefTTL)
			first.listensFor(t, 0)
			if n := len(d.seats(t, c.user)); c.user != "" && n != 1 {
				t.Errorf("%d seats", n)
			}
			first.leave()
			second.listensFor(t, briefTTL)
		})
	}
}

// TestDoorZap: a listener goes round three channels faster than seats expire, each time as one who begins: ffmpeg and curl keep no ids.
func TestDoorZap(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("one")+o.live("two")+o.live("three")+o.live("open-one", "auth: none")+o.live("open-two", "auth: none")+o.live("open-three", "auth: none"),
		doorTokens+doorBrief+"limits: [{per: user, max: 1}, {per: address, max: 1}]\n")
	for name, c := range map[string]struct {
		before, after, address, id string
		stay                       time.Duration // on each channel
	}{
		"with a user":       {"/", "/master.m3u8?token=" + token(t, "zapper"), home, "", 0},
		"without a user":    {"/open-", "/master.m3u8", away, "", 0},
		"one id for all":    {"/", "/master.m3u8?token=" + token(t, "own-id"), home6, "my-player", 0},
		"of playlists":      {"/open-", "/hi/index.m3u8", "203.0.113.9", "", briefTTL / 2}, // the time after which who is silent has gone
		"of a user's lists": {"/", "/hi/index.m3u8?token=" + token(t, "lists"), "203.0.113.10", "", briefTTL / 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, end := 0, time.Now().Add(2*briefTTL); time.Now().Before(end); n++ {
				p := newDoorPlayer(t, c.address, "Lavf/60.16.100")
				if c.id != "" {
					p.header["X-Playback-Session-Id"] = c.id
				}
				u := d.listen + c.before + []string{"one", "two", "three"}[n%3] + c.after
				if strings.HasPrefix(c.after, "/master") {
					p.begin(u).plays(t)
				} else {
					p.media = mustParse(u)
				}
				for range n % 3 {
					p.step().plays(t)
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(100*time.Millisecond + c.stay)
			}
		})
	}
}

const zapSeatTTL = 8 * time.Second

// TestDoorZapRadio: a receiver goes from mount to mount, and opens the next before it closes the last, or never closes it.
func TestDoorZapRadio(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.mount("jazz")+o.mount("rock")+o.mount("talk"), doorTokens+fmt.Sprintf("seat_ttl: %v\nlimits: [{per: user, max: 1}]\n", zapSeatTTL))
	mounts := []string{"/jazz.mp3", "/rock.mp3", "/talk.mp3"}
	t.Run("opens before it closes", func(t *testing.T) {
		t.Parallel()
		text := token(t, "overlap")
		var last *doorRadio
		for n := range 9 {
			go func(old *doorRadio) {
				time.Sleep(300 * time.Millisecond)
				if old != nil {
					old.leave()
				}
			}(last)
			last = radioAsk{url: d.listen + mounts[n%3] + "?token=" + text, address: home, agent: "Receiver"}.listens(t)
			last.plays(t)
			time.Sleep(200 * time.Millisecond)
		}
		last.listensFor(t, 2*time.Second)
	})
	t.Run("never closes", func(t *testing.T) { // it was unplugged: no FIN ever comes, and nothing is taken any more
		t.Parallel()
		text := token(t, "dead")
		for n := range 2 {
			dead := radioAsk{url: d.listen + mounts[n%3] + "?token=" + text, address: home, agent: "Receiver", dead: true}.listens(t)
			dead.plays(t)
			time.Sleep(zapSeatTTL / 5) // what it had taken before is noted, six times within seat_ttl
		}
		l := radioAsk{url: d.listen + "/jazz.mp3?token=" + text, address: home, agent: "Receiver"}.listens(t)
		l.plays(t)
		l.listensFor(t, 3*time.Second)
	})
	t.Run("on another device", func(t *testing.T) { // which is no zapping: who listens has the seat until he leaves
		t.Parallel()
		text := token(t, "two-devices")
		kitchen := radioAsk{url: d.listen + "/jazz.mp3?token=" + text, address: home, agent: "Kitchen"}
		phone := radioAsk{url: d.listen + "/rock.mp3?token=" + text, address: away, agent: "Phone"}
		l := kitchen.listens(t)
		l.plays(t)
		for range 3 {
			phone.listens(t).is(t, http.StatusForbidden, "too-many-sessions")
			l.listensFor(t, 500*time.Millisecond)
		}
		l.leave()
		eventually(t, 10*time.Second, "the second is let in when the first has left", func() error {
			next, err := phone.try(t)
			if err == nil && !next.ok() {
				err = fmt.Errorf("%v", next)
			}
			return err
		})
	})
}

// TestDoorRoams: a listener's address and agent change while he plays. He is one listener, whose session goes on.
func TestDoorRoams(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news")+o.live("open", "auth: none")+o.onDemand("films"), doorTokens+doorBrief+
		"limits: [{per: user, max: 1}, {per: address, group: open, max: 1}]\n")
	for name, c := range map[string]struct {
		path string
		move func(p *doorPlayer, n int)
	}{
		"from Wi-Fi to mobile": {"/news/", func(p *doorPlayer, n int) {
			if n == 15 {
				p.address = away
			}
		}},
		"and back": {"/news/", func(p *doorPlayer, n int) {
			p.address = []string{home, away}[n/10%2]
		}},
		"an agent of its own for segments": {"/news/", func(p *doorPlayer, n int) {
			p.agent = []string{"Player", "Player/media"}[n%2]
		}},
		"two stacks": {"/news/", func(p *doorPlayer, n int) {
			p.address = []string{home, home6}[n%2]
		}},
		"a carrier's pool of addresses": {"/news/", func(p *doorPlayer, n int) {
			p.address = fmt.Sprintf("100.64.0.%d", n%7+1)
		}},
		"two stacks, open": {"/open/", func(p *doorPlayer, n int) {
			p.address = []string{"192.0.2.77", "2001:db8:77::1"}[n%2]
		}},
		"two stacks, on demand": {"/films/", func(p *doorPlayer, n int) {
			p.address = []string{home, home6}[n%2]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDoorPlayer(t, home, "Player")
			n := 0
			c.move(p, n)
			p.begin(d.listen + c.path + "master.m3u8?token=" + token(t, "roamer "+name)).plays(t)
			p.poll().plays(t)
			id := p.id()
			for end := time.Now().Add(3 * briefTTL / 2); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				n++
				c.move(p, n)
				if p.next() != nil { // each piece once
					p.segment().plays(t)
				}
				n++
				c.move(p, n)
				p.poll().plays(t)
			}
			if p.id() != id {
				t.Errorf("the session was %q and is %q", id, p.id())
			}
			if seats := d.seats(t, "roamer "+name); c.path != "/open/" && len(seats) != 1 {
				t.Errorf("he has the seats %q", seats)
			}
			d.waitCredited(t, id)
		})
	}
}

// TestDoorMultiplexed: two players with users of their own behind one HTTP/2 connection, as behind a proxy of their household's. Nothing of one is
// taken for the other's.
func TestDoorMultiplexed(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	cert, key := doorCertificate(t)
	tlsAddr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	d := startDoor(t, o.live("news"), doorTokens+doorBrief+"limits: [{per: user, max: 1}]\n", fmt.Sprintf("{addr: %q, tls: {cert: %q, key: %q}}", tlsAddr, cert, key))
	one := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	client := &http.Client{Transport: one, Timeout: 40 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	players := map[string]*doorPlayer{}
	for _, user := range []string{"mum", "dad"} {
		p := newDoorPlayer(t, "", "Player")
		p.client = client
		p.proto = "HTTP/2.0"
		p.begin("https://" + tlsAddr + "/news/master.m3u8?token=" + token(t, user)).plays(t)
		players[user] = p
	}
	var all sync.WaitGroup
	for _, p := range players {
		all.Go(func() {
			for end := time.Now().Add(3 * briefTTL / 2); time.Now().Before(end) && !t.Failed(); time.Sleep(150 * time.Millisecond) {
				if r := p.step(); !r.ok() {
					t.Errorf("%v", r)
				}
			}
		})
	}
	all.Wait()
	for user, p := range players {
		if seats := d.seats(t, user); len(seats) != 1 || seats[0] != p.id() {
			t.Errorf("%s has the seats %q, and plays %q", user, seats, p.id())
		}
		d.waitCredited(t, p.id())
	}
}

// doorCertificate is a certificate of this host, and its key, as files.
func doorCertificate(t testing.TB) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	what := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "door"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, what, what, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestDoorBarePolling: VLC polls a media playlist with the token in its URL, and follows what it names. Two of a household, with tokens of their own,
// look the same in all else.
func TestDoorBarePolling(t *testing.T) {
	t.Parallel()
	o := startDoorOrigin(t)
	d := startDoor(t, o.live("news"), doorTokens+doorBrief+"limits: [{per: user, max: 1}]\n")
	players := map[string]*doorPlayer{}
	for _, user := range []string{"ann", "bob"} {
		p := newDoorPlayer(t, home, "VLC/3.0.20 LibVLC/3.0.20")
		p.media = mustParse(d.listen + "/news/hi/index.m3u8?token=" + token(t, user))
		players[user] = p
	}
	ids := map[string]string{}
	for end := time.Now().Add(2 * briefTTL); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		for user, p := range players {
			p.step().plays(t)
			if ids[user] == "" {
				ids[user] = p.id()
			}
			if p.id() != ids[user] {
				t.Fatalf("%s was %q and is %q", user, ids[user], p.id())
			}
		}
	}
	if ids["ann"] == ids["bob"] {
		t.Errorf("two users are one session, %q", ids["ann"])
	}
	for user, id := range ids {
		eventually(t, 10*time.Second, "the seat of who polls", func() error {
			players[user].step().plays(t)
			if seats := d.seats(t, user); len(seats) != 1 || seats[0] != id {
				return fmt.Errorf("%s has the seats %q, and plays %q", user, seats, id)
			}
			return nil
		})
	}
	newDoorPlayer(t, home, "VLC/3.0.20 LibVLC/3.0.20").ask(d.listen+"/news/hi/index.m3u8").is(t, http.StatusUnauthorized, "token-required")
}
