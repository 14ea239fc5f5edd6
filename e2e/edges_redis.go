package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server that keeps nothing on disk. It can be stopped, killed and started again at the same address.
type redisServer struct {
	port string
	args []string
	proc *process
	ask  *redis.Client
}

func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	s := newRedis(t, freePort(t), args...)
	s.start(t)
	return s
}

func newRedis(t testing.TB, port int, args ...string) *redisServer {
	s := &redisServer{port: strconv.Itoa(port), args: args}
	s.ask = redis.NewClient(&redis.Options{Addr: s.addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() { s.ask.Close() })
	return s
}

func (s *redisServer) addr() string { return "127.0.0.1:" + s.port }
func (s *redisServer) url() string  { return "redis://" + s.addr() }

// start starts it, and waits until it answers.
func (s *redisServer) start(t testing.TB) {
	t.Helper()
	args := append([]string{"--bind", "127.0.0.1", "--port", s.port, "--save", "", "--appendonly", "no", "--dir", filepath.Clean(t.TempDir())}, s.args...)
	s.proc = start(t, "redis-server", args...)
	s.proc.ready(t, 10*time.Second, "Redis answers", func() error { return s.ask.Ping(context.Background()).Err() })
}

func (s *redisServer) kill() {
	s.proc.signal(syscall.SIGKILL)
	<-s.proc.exited
}

// info is one number that INFO tells; 0 if it does not.
func (s *redisServer) info(t testing.TB, section, field string) int64 {
	t.Helper()
	text, err := s.ask.Info(context.Background(), section).Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), field); ok {
			rest = strings.TrimLeft(rest, ":=")
			rest, _, _ = strings.Cut(rest, ",")
			n, err := strconv.ParseInt(rest, 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// startRedisCluster starts three masters with a replica each.
func startRedisCluster(t testing.TB) (nodes []*redisServer) {
	t.Helper()
	args := []string{"--cluster", "create"}
	for range 6 {
		port := freePort(t)
		n := newRedis(t, port, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port", strconv.Itoa(freePort(t)),
			"--repl-diskless-sync-delay", "0")
		n.start(t)
		nodes = append(nodes, n)
		args = append(args, n.addr())
	}
	create := start(t, "redis-cli", append(args, "--cluster-replicas", "1", "--cluster-yes")...)
	if err := create.wait(t, 30*time.Second); err != nil {
		t.Fatalf("redis-cli: %v: %s", err, tail(create.output(t), 10))
	}
	eventually(t, 20*time.Second, "the cluster is whole", func() error {
		for _, n := range nodes {
			state := n.ask.ClusterInfo(context.Background()).Val()
			part := n.ask.Info(context.Background(), "replication").Val()
			if !strings.Contains(state, "cluster_state:ok") || strings.Contains(part, "role:slave") && !strings.Contains(part, "master_link_status:up") ||
				strings.Contains(part, "role:master") && !strings.Contains(part, "connected_slaves:1") {
				return fmt.Errorf("%s: %s", n.addr(), part)
			}
		}
		return nil
	})
	return nodes
}

// holding is the master that holds the edges' keys.
func holding(t testing.TB, nodes []*redisServer) *redisServer {
	t.Helper()
	for _, n := range nodes {
		master := strings.Contains(n.ask.Info(context.Background(), "replication").Val(), "role:master")
		if keys, err := n.ask.DBSize(context.Background()).Result(); err == nil && keys > 0 && master {
			return n
		}
	}
	t.Fatal("no node holds anything")
	return nil
}
