package auth

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// However many ask one after the other, a fetch that hangs is waited for once: tokens of an address may stand in one line.
func TestHangingKeysAreWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyURL(&url.URL{Scheme: "http", Host: "keys.test"}, slog.New(slog.DiscardHandler), nil)
		k.client.Transport = hanging{}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		synctest.Wait()
		began := time.Now()
		for range 100 {
			k.fresh(t.Context())
			if took := time.Since(began); took > keysPatience {
				t.Errorf("they waited for %v", took)
				break
			}
		}
		cancel()
		running.Wait()
	})
}
