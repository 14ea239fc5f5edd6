package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lookAgain is how often key files are looked at. They are read and compared, which sees every way to replace them.
const lookAgain = 5 * time.Second

// keyring holds the public keys of all sources.
type keyring struct {
	files  []*keyFile
	remote *keyURL // nil: none
	look   time.Duration
}

// newKeyring reads the files that are named. A URL is asked by run.
func newKeyring(pem, jwks string, log *slog.Logger, metrics *Metrics) (*keyring, error) {
	k := &keyring{look: lookAgain}
	if pem != "" {
		k.files = append(k.files, &keyFile{what: "auth.jwt.keys", path: pem, parse: parsePEM, log: log, metrics: metrics})
	}
	switch {
	case strings.HasPrefix(jwks, "http://"), strings.HasPrefix(jwks, "https://"):
		u, err := webURL(jwks)
		if err != nil {
			return nil, fmt.Errorf("auth.jwt.jwks: not a URL: %w", err)
		}
		k.remote = newKeyURL(u, log, metrics)
	case jwks != "":
		k.files = append(k.files, &keyFile{what: "auth.jwt.jwks", path: jwks, parse: parseJWKS, log: log, metrics: metrics})
	}
	for _, f := range k.files {
		if err := f.read(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.what, err)
		}
	}
	return k, nil
}

// find returns the keys that may have signed a token, and whether any key has the token's key id.
func (k *keyring) find(alg, id string) (all []any, known bool) {
	add := func(from *[]key) {
		if from == nil {
			return
		}
		for i := range *from {
			key := &(*from)[i]
			known = known || id != "" && key.id == id
			if key.alg == alg && (id == "" || key.id == "" || key.id == id) {
				all = append(all, key.key)
			}
		}
	}
	for _, f := range k.files {
		add(f.now.Load())
	}
	if k.remote != nil {
		add(k.remote.now.Load())
	}
	return all, known
}

// fresh reports whether other keys may be there than a moment ago, because it had them fetched.
func (k *keyring) fresh(ctx context.Context) bool { return k.remote != nil && k.remote.fresh(ctx) }

func (k *keyring) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	if k.remote != nil {
		all.Go(func() { k.remote.run(ctx) })
	}
	if len(k.files) == 0 {
		return
	}
	tick := time.NewTicker(k.look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, f := range k.files {
				f.again()
			}
		}
	}
}

func (k *keyring) close() {
	if k.remote != nil {
		k.remote.client.CloseIdleConnections()
	}
}

// keyFile is a file with keys.
type keyFile struct {
	what, path string
	parse      func([]byte) ([]key, error)
	log        *slog.Logger
	metrics    *Metrics
	now        atomic.Pointer[[]key]

	// Owned by who looks.
	data   []byte // as tried last
	broken error  // why that could not be used
	last   string // what the last look failed with
	told   string // what was told of that
}

// read takes the keys from the file, if it holds others than before.
func (f *keyFile) read() error {
	data, err := readBounded(f.path)
	if err != nil {
		return err
	}
	if f.data != nil && bytes.Equal(data, f.data) {
		return f.broken
	}
	all, err := f.parse(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	} else {
		f.now.Store(&all)
	}
	f.data, f.broken = data, err
	return err
}

// again takes up what has changed. What cannot be used is told once, and only if it is still so at the next look: files are not always written at once.
func (f *keyFile) again() {
	before, last := f.now.Load(), f.last
	err := f.read()
	f.last = ""
	if err == nil {
		f.told = ""
		if now := f.now.Load(); now != before {
			f.metrics.readKeys("changed")
			f.log.Info("the keys of tokens were replaced", "setting", f.what, "file", f.path, "keys", len(*now))
		}
		return
	}
	if f.last = err.Error(); f.last == last && f.last != f.told {
		f.told = f.last
		f.metrics.readKeys("failed")
		f.log.Warn("the new keys of tokens cannot be used; those before them stay", "setting", f.what, "err", err)
	}
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(f, maxKeyFile)
}

var errTooLong = errors.New("too long")

// bounded reads all there is, or fails.
func bounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, errTooLong)
	}
	return data, err
}
