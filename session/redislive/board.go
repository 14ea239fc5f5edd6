package redislive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"earshot/session"
)

// The board is read as a whole.
const (
	maxNotes = 10_000
	maxBody  = 64 << 10
	maxName  = 256
)

// ErrBoardFull is returned by Post when there are as many notes as there may be.
var ErrBoardFull = errors.New("the board is full")

// Post puts a note up, or replaces it.
func (t *Table) Post(ctx context.Context, n session.Note) error {
	if n.Kind == "" || len(n.Kind) > maxName || len(n.ID) > maxName || strings.Contains(n.Kind, "\x00") || len(n.Body) > maxBody {
		return fmt.Errorf("post: a note of kind %q: a name of at most %d bytes and a body of at most %d are taken", n.Kind, maxName, maxBody)
	}
	until := int64(0)
	if !n.Until.IsZero() {
		until = max(1, n.Until.UnixMilli())
	}
	reply, err := t.run(ctx, "post", t.scripts.post, n.Kind+"\x00"+n.ID, until, string(n.Body), maxNotes)
	if err == nil && reply != int64(1) {
		return fmt.Errorf("post: %w: %d notes", ErrBoardFull, maxNotes)
	}
	return err
}

// Withdraw takes a note down.
func (t *Table) Withdraw(ctx context.Context, kind, id string) (bool, error) {
	reply, err := t.run(ctx, "withdraw", t.scripts.withdraw, kind+"\x00"+id)
	return reply == int64(1), err
}

// Board lists the notes.
func (t *Table) Board(ctx context.Context) ([]session.Note, error) {
	l, err := t.list(ctx, "board", t.scripts.board)
	if err != nil {
		return nil, err
	}
	var all []session.Note
	for len(l) >= 2 {
		if n, err := parseNote(l[0], l[1]); err == nil {
			all = append(all, n)
		} else {
			t.metrics.damage(1)
		}
		l = l[2:]
	}
	slices.SortFunc(all, func(a, b session.Note) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

func parseNote(name, value any) (n session.Note, err error) {
	named, ok := name.(string)
	text, ok2 := value.(string)
	kind, id, ok3 := strings.Cut(named, "\x00")
	until, body, ok4 := strings.Cut(text, "\n")
	ms, err := strconv.ParseInt(until, 10, 64)
	if !(ok && ok2 && ok3 && ok4) || err != nil || ms < 0 || len(named) > 2*maxName+1 || len(body) > maxBody || body != "" && !json.Valid([]byte(body)) {
		return n, errReply
	}
	n = session.Note{Kind: kind, ID: id}
	if body != "" {
		n.Body = json.RawMessage(body)
	}
	if ms > 0 {
		n.Until = time.UnixMilli(ms)
	}
	return n, nil
}
