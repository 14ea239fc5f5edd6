package redislive

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var files embed.FS

// scripts are sent once and then called by their hash.
type scripts struct {
	claim, renew, release, end, seats, usage, post, withdraw, board *redis.Script
}

var standard = load(func(src string) string { return src })

// load makes the scripts of what edit makes of their text.
func load(edit func(src string) string) *scripts {
	script := func(name string) *redis.Script {
		var src []byte
		for _, file := range []string{"lib", name} {
			b, err := files.ReadFile("lua/" + file + ".lua")
			if err != nil {
				panic(err) // it is embedded
			}
			src = append(src, b...)
		}
		return redis.NewScript(edit(string(src)))
	}
	return &scripts{
		claim: script("claim"), renew: script("renew"), release: script("release"), end: script("end"), seats: script("seats"),
		usage: script("usage"), post: script("post"), withdraw: script("withdraw"), board: script("board"),
	}
}

// errReply is an answer that is not what the script returns.
var errReply = errors.New("an answer that makes no sense")

// run runs a script. Its first argument is always who asks.
func (t *Table) run(ctx context.Context, verb string, s *redis.Script, args ...any) (reply any, err error) {
	args = append([]any{t.me}, args...)
	err = t.ask(ctx, verb, func(ctx context.Context) error {
		reply, err = s.Run(ctx, t.redis, []string{t.tag}, args...).Result()
		return err
	})
	return reply, err
}

// list runs a script that returns a list.
func (t *Table) list(ctx context.Context, verb string, s *redis.Script, args ...any) ([]any, error) {
	reply, err := t.run(ctx, verb, s, args...)
	if err != nil {
		return nil, err
	}
	l, ok := reply.([]any)
	if !ok {
		return nil, fail(verb, "%T", reply)
	}
	return l, nil
}

func fail(verb, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w: %s", verb, errLive, errReply, fmt.Sprintf(format, args...))
}
