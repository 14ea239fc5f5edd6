package redislive

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/session"
)

// authority signs certificates of a test's own.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.pem and name.key.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

// startTLS starts a server that speaks TLS at the second of its ports. clients is whether it asks for their certificates.
func startTLS(t *testing.T, ca *authority, clients string) (addr string) {
	t.Helper()
	ca.issue("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	port := strconv.Itoa(freePort(t))
	startServer(t, "--tls-port", port, "--tls-cert-file", ca.file("server.pem"), "--tls-key-file", ca.file("server.key"), "--tls-ca-cert-file", ca.file("ca.pem"),
		"--tls-auth-clients", clients)
	return "127.0.0.1:" + port
}

// TestTLS: the server's certificate is believed if the CA that the URL names has signed it, or one that the system knows; and nobody else's is.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "ca")
	addr := startTLS(t, ca, "no")
	good := "rediss://" + addr + "/0?ca=" + url.QueryEscape(ca.file("ca.pem"))
	mustClaim(t, openAt(t, Options{URL: good, Timeout: 5 * time.Second}), seatClaim("a"), session.Held)

	for _, bad := range []string{
		"rediss://" + addr, // the system does not know it
		"rediss://" + addr + "/?ca=" + url.QueryEscape(stranger.file("ca.pem")),
		strings.Replace(good, "127.0.0.1", "localhost", 1), // for which it has no certificate
		"redis://" + addr,
	} {
		table := openAt(t, Options{URL: bad, Timeout: 2 * time.Second})
		if a, err := table.Claim(context.Background(), seatClaim("b")); err == nil {
			t.Errorf("%s: %+v", bad, a)
		}
	}
	for roots, want := range map[string]bool{ca.file("ca.pem"): true, stranger.file("ca.pem"): false} {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), claimAt+"=rediss://"+addr, "SSL_CERT_FILE="+roots)
		if out, err := child.CombinedOutput(); (err == nil) != want {
			t.Errorf("SSL_CERT_FILE=%s: %v: %s", roots, err, out)
		}
	}
}

// claimAt has this program claim a seat at the URL that it names, and no test: what the system believes is read once in a process.
const claimAt = "EARSHOT_TEST_CLAIM_AT"

func claimAtURL(url string) int {
	table, err := Open(Options{URL: url, Timeout: 5 * time.Second})
	if err == nil {
		_, err = table.Claim(context.Background(), seatClaim("child"))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestClientCertificate: a Redis that asks the edge for a certificate gets it.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	addr := startTLS(t, ca, "yes")
	ca.issue("edge", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	query := url.Values{"ca": {ca.file("ca.pem")}}
	if _, err := openAt(t, Options{URL: "rediss://" + addr + "/?" + query.Encode(), Timeout: 2 * time.Second}).Claim(context.Background(), seatClaim("a")); err == nil {
		t.Error("let in without one")
	}
	query.Set("cert", ca.file("edge.pem"))
	if _, err := Open(Options{URL: "rediss://" + addr + "/?" + query.Encode()}); err == nil {
		t.Error("a certificate without its key is taken")
	}
	query.Set("key", ca.file("edge.key"))
	mustClaim(t, openAt(t, Options{URL: "rediss://" + addr + "/?" + query.Encode(), Timeout: 5 * time.Second}), seatClaim("a"), session.Held)
	query.Set("key", ca.file("server.key"))
	if _, err := Open(Options{URL: "rediss://" + addr + "/?" + query.Encode()}); err == nil {
		t.Error("another's key is taken")
	}
}

// acl is what docs/limits.md says a user needs.
var acl = []any{"resetkeys", "resetchannels", "nocommands", "~{earshot:*}*", "&{earshot:*}*", "+@read", "+@write", "+@pubsub", "+@scripting", "+@connection", "+time", "+cluster|slots", "-@dangerous"}

// TestPasswords: a password alone, a user with one, and what is said where they are wrong: not they.
func TestPasswords(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := context.Background()
	const secret, escaped = "p@s/s?#%:w", "p%40s%2Fs%3F%23%25%3Aw"
	if err := s.ask.Do(ctx, append([]any{"ACL", "SETUSER", "edge", "on", ">" + secret}, acl...)...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.ask.Do(ctx, "ACL", "SETUSER", "idle", "on", ">"+secret, "nocommands", "+@connection").Err(); err != nil {
		t.Fatal(err)
	}
	everything(t, openAt(t, Options{URL: "redis://edge:" + escaped + "@" + s.addr(), Timeout: 5 * time.Second}))

	if err := s.ask.ConfigSet(ctx, "requirepass", secret).Err(); err != nil {
		t.Fatal(err)
	}
	mustClaim(t, openAt(t, Options{URL: "redis://:" + escaped + "@" + s.addr(), Timeout: 5 * time.Second}), seatClaim("alone"), session.Held)
	for url, want := range map[string]string{
		"redis://" + s.addr():                           "unauthenticated",
		"redis://:hunter2@" + s.addr():                  "WRONGPASS",
		"redis://edge:hunter2@" + s.addr():              "WRONGPASS",
		"redis://nobody:" + escaped + "@" + s.addr():    "WRONGPASS",
		"redis://idle:" + escaped + "@" + s.addr() + "": "NOPERM",
	} {
		var log bytes.Buffer
		table := openAt(t, Options{URL: url, Timeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
		_, err := table.Claim(ctx, &session.Claim{TTL: time.Hour, Seat: session.Seat{Key: session.Key{ID: "x", Group: "g"}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
		for _, said := range []string{fmt.Sprint(err), log.String()} {
			if !strings.Contains(said, want) || strings.Contains(said, "hunter2") || strings.Contains(said, secret) || strings.Contains(said, escaped) {
				t.Errorf("%s: said %q", url, said)
			}
		}
	}
}

// everything asks a table for all that there is to ask.
func everything(t *testing.T, table *Table) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	notices := make(chan session.Notice, 100)
	var watching sync.WaitGroup
	watching.Go(func() { table.Watch(ctx, func(n session.Notice) { notices <- n }) })
	defer watching.Wait()
	defer cancel()
	awaitZero(t, notices, "at first")
	c := seatClaim("a")
	c.Seat.Edge, c.Cooldown, c.Sentence, c.Seat.Slot = "e", time.Hour, time.Hour, "tv"
	mustClaim(t, table, c, session.Held)
	next := seatClaim("b")
	next.Policy, next.Seat.Uses[0].Max, next.Cooldown, next.Sentence = session.EndOldest, 1, time.Hour, time.Hour
	mustClaim(t, table, next, session.Held)
	st, err := table.Renew(ctx, "f", []session.Renewal{{Key: next.Seat.Key, TTL: time.Hour, Sighting: session.Sighting{Face: 1}}})
	if err != nil || st[0].State != session.Kept {
		t.Fatalf("%+v %v", st, err)
	}
	if _, err := table.Seats(ctx, "ann", "", 10); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Usage(ctx, "", 10); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		table.Post(ctx, session.Note{Kind: "ban", ID: "x", Body: []byte(`1`)}),
		table.Release(ctx, "f", next.Seat.Key),
		table.End(ctx, session.Ending{Key: next.Seat.Key, Reason: "over", For: time.Hour}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if notes, err := table.Board(ctx); err != nil || len(notes) != 1 {
		t.Fatalf("%v %v", notes, err)
	}
	if gone, err := table.Withdraw(ctx, "ban", "x"); err != nil || !gone {
		t.Fatalf("%v %v", gone, err)
	}
}

// TestDatabases: deployments in two databases of one server share neither seats nor notices.
func TestDatabases(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var tables []*Table
	heard := make([]chan session.Notice, 3)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	for i, database := range []string{"/0", "/7", ""} { // none is 0
		table := openAt(t, Options{URL: s.url() + database, Timeout: 5 * time.Second})
		tables, heard[i] = append(tables, table), make(chan session.Notice, 100)
		watching.Go(func() { table.Watch(ctx, func(n session.Notice) { heard[i] <- n }) })
		awaitZero(t, heard[i], "at first")
	}
	one := seatClaim("a")
	one.Seat.Uses[0].Max = 1
	other := seatClaim("b")
	other.Seat.Uses[0].Max = 1
	mustClaim(t, tables[0], one, session.Held)
	mustClaim(t, tables[1], other, session.Held)
	mustClaim(t, tables[2], other, session.Refused)
	for i, key := range []session.Key{0: one.Seat.Key, 1: other.Seat.Key} {
		if err := tables[i].End(ctx, session.Ending{Key: key, Reason: "over", For: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tables[2].End(ctx, session.Ending{Key: session.Key{ID: "c", Group: "g"}, Reason: "last", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := tables[0].End(ctx, session.Ending{Key: session.Key{ID: "d", Group: "g"}, Reason: "last", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{0: "c", 2: "a d"} { // what each was told, in turn
		var ids []string
		for len(ids) < len(strings.Fields(want)) {
			select {
			case n := <-heard[i]:
				if n.Ended == nil {
					t.Fatalf("%d heard %+v", i, n)
				}
				ids = append(ids, string(n.Ended.Key.ID))
			case <-time.After(10 * time.Second):
				t.Fatalf("%d heard only %v", i, ids)
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%d heard of %s, want %s", i, got, want)
		}
	}
}
