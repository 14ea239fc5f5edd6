package origin

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// crowd asks for u with n listeners at once, and returns what they got.
func crowd(t *testing.T, c *Client, n int, u string, fields ...string) []got {
	t.Helper()
	all := make([]got, n)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() { all[i] = ask(t.Context(), c, http.MethodGet, one(u), fields...) })
	}
	work.Wait()
	return all
}

// joined waits until so many ask for what is being fetched.
func joined(t *testing.T, c *Client, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.cache.mu.Lock()
		askers := 0
		for _, o := range c.cache.objects {
			if o.fill != nil {
				askers += o.fill.askers
			}
		}
		c.cache.mu.Unlock()
		if askers == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d ask, want %d", askers, n)
		}
	}
}

// quiet waits until nothing is on its way, and checks that the books of the cache add up.
func quiet(t *testing.T, c *Client) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := c.cache.audit()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// audit checks what must hold while nothing is on its way and nobody reads: what is used is what is kept, and every object has all it says.
func (c *cache) audit() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	slots := 0
	for key, o := range c.objects {
		switch {
		case o.fill != nil:
			return fmt.Errorf("%s is being fetched", key)
		case o.key != key:
			return fmt.Errorf("%s is under %s", o.key, key)
		case o.memory == nil && o.disk == nil:
			return fmt.Errorf("nothing is left of %s", key)
		}
		for _, s := range []*slot{o.memory, o.disk} {
			if s == nil {
				continue
			}
			slots++
			switch {
			case s.object != o:
				return fmt.Errorf("%s is in another's slot", key)
			case s.body != nil && s.body.Held():
				return fmt.Errorf("the body of %s is held", key)
			case s.body != nil && (o.entity == nil || s.body.Size() != o.entity.length || s.size != s.body.Size()+o.own()):
				return fmt.Errorf("%s has a body of %d bytes, which is not what is known of it", key, s.body.Size())
			}
		}
	}
	for name, t := range map[string]*tier{"memory": &c.memory, "disk": &c.disk} {
		var sum, guarded int64
		t.lru.coldest(func(s *slot) bool {
			slots--
			sum += s.size
			if s.protected {
				guarded += s.size
			}
			return true
		})
		if used := t.used.Load(); sum != used || guarded != t.lru.guarded || used > t.budget {
			return fmt.Errorf("%s: %d bytes used of %d, %d kept; %d protected, %d counted", name, used, t.budget, sum, t.lru.guarded, guarded)
		}
	}
	if slots != 0 {
		return fmt.Errorf("%d slots are of no object", slots)
	}
	return nil
}
