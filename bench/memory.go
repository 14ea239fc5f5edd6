//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// memoryPart prints what idle connections, and sessions, hold. Each is measured on servers that were started for it.
func memoryPart(ctx context.Context, out io.Writer, opt *edgeOptions) error {
	if err := mayOpen(opt.crowd); err != nil {
		return err
	}
	a, err := newArena(opt.with(gateOn))
	if err != nil {
		return err
	}
	defer a.close()
	fmt.Fprintln(out, "| what is held | by | RSS before, MiB | after | PSS after | at most | KiB of RSS for each | KiB of Go heap for each | KiB of kernel buffers for each |")
	fmt.Fprintln(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, m := range []struct {
		what  string
		crowd func(*server, int) (release func(), err error)
		nginx bool
	}{
		{"idle connections", idleConnections, true},
		{"sessions", sessions, false}, // nginx keeps none
	} {
		if err := a.startServers(); err != nil {
			return err
		}
		servers := a.servers
		if !m.nginx {
			servers = servers[1:]
		}
		for _, s := range servers {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := weigh(out, s, fmt.Sprintf("%d %s", opt.crowd, m.what), opt.crowd, m.crowd); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, m.what, err)
			}
		}
		a.stopServers()
	}
	return nil
}

// weigh prints what a server holds more with a crowd than without.
func weigh(out io.Writer, s *server, what string, n int, crowd func(*server, int) (func(), error)) error {
	release, err := crowd(s, 16) // so that what the first requests make once does not count
	if err != nil {
		return err
	}
	release()
	heapBefore, err := s.heap()
	if err != nil {
		return err
	}
	before, kernel := s.proc.memory(), socketMemory()
	if release, err = crowd(s, n); err != nil {
		return err
	}
	defer release()
	time.Sleep(2 * time.Second) // what was sent last has been settled, and what is temporary let go of
	after, kernelAfter := s.proc.memory(), socketMemory()
	heapAfter, err := s.heap()
	if err != nil {
		return err
	}
	each := func(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/1024/float64(n)) }
	heap := "–"
	if s.admin != "" {
		heap = each(heapAfter - heapBefore)
	}
	fmt.Fprintf(out, "| %s | %s | %.1f | %.1f | %.1f | %.1f | %s | %s | %s |\n", what, s.name, mib(before.rss), mib(after.rss), mib(after.pss),
		mib(after.hwm), each(after.rss-before.rss), heap, each(kernelAfter-kernel))
	return nil
}

// idleConnections opens n connections, each of which has got an answer. All belong to one session: it is connections that are weighed.
func idleConnections(s *server, n int) (release func(), err error) {
	c := &crowd{server: s}
	for range n {
		v, err := dial(s, "bench-idle", nil)
		if err == nil {
			c.visitors = append(c.visitors, v)
			v.paths[master] = []string{s.master(v.id)}
			_, err = v.get(master, false)
		}
		if err == nil {
			err = v.own()
			v.reply, v.request = reply{}, nil
		}
		if err != nil {
			c.leave()
			return nil, err
		}
	}
	return c.leave, nil
}

// sessions has n listeners take a master, playlists and a segment, one after another over a few connections.
func sessions(s *server, n int) (release func(), err error) {
	c := &crowd{server: s}
	for i := range 8 {
		v, err := dial(s, "", nil)
		if err != nil {
			c.leave()
			return nil, err
		}
		c.visitors = append(c.visitors, v)
		for j := i; j < n && err == nil; j += 8 {
			v.id = fmt.Sprintf("bench-session-%d-%05d", n, j)
			if err = v.arrive(); err == nil {
				_, err = v.get(segment64K, false)
			}
		}
		if err != nil {
			c.leave()
			return nil, err
		}
	}
	return c.leave, nil
}

// heap is what lives on Earshot's heap after a collection; 0 for who has no such thing.
func (s *server) heap() (int64, error) {
	if s.admin == "" {
		return 0, nil
	}
	if err := fetch("http://"+s.admin+"/debug/pprof/heap?gc=1", os.DevNull); err != nil {
		return 0, err
	}
	bytes, err := s.metric("go_memstats_heap_alloc_bytes")
	return int64(bytes), err
}

// metric is what Earshot says of itself, by the name with all labels.
func (s *server) metric(name string) (float64, error) {
	resp, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s does not say %s", s.name, name)
}
