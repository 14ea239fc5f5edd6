package gate

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"earshot/blackout"
	"earshot/session"
)

// Kinds of notes on the board.
const (
	banNote   = "ban"
	ruleNote  = "blackout"
	endedNote = "ended"
	markNote  = "board"

	unsaidNote = "unsaid" // in the store alone: a note that the other edges have not been told of yet
)

// board is what this edge knows of the board, and what it has not been able to write there yet.
type board struct {
	mu     sync.Mutex
	notes  map[string]session.Note // by kind and id
	unsaid map[string]change
	mark   string // of the board that they were last compared with; empty: none was
}

// change is a note to be posted, or taken down where it has no body.
type change struct{ note session.Note }

func nameOf(kind, id string) string { return kind + "\x00" + id }

// addedRule is the body of a rule's note.
type addedRule struct {
	blackout.Rule
	First bool      `json:"first"`
	Added time.Time `json:"added"`
}

// endedBody is the body of an ending's note.
type endedBody struct {
	ID     session.ID `json:"id"`
	Group  string     `json:"group"`
	Reason string     `json:"reason"`
}

func (b *board) init() { b.notes, b.unsaid = make(map[string]session.Note), make(map[string]change) }

// Restore reads what an earlier process had written down: bans, blackouts that were added, endings. It is called before anybody is let in.
func (g *Gate) Restore(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	g.board.mu.Lock()
	defer g.board.mu.Unlock()
	if g.opt.Keeper == nil {
		return
	}
	notes, err := g.opt.Keeper.Board(ctx)
	if err != nil {
		g.log.Error("bans and blackouts that were added could not be read; those that stand only there do not hold", "err", err)
		return
	}
	for _, n := range notes {
		if n.Kind == unsaidNote {
			continue
		}
		g.board.notes[nameOf(n.Kind, n.ID)] = n
		if !g.opt.Many {
			_ = g.live.Post(ctx, n) // memory does not fail
		}
	}
	g.restoreUnsaid(notes)
	g.apply()
}

// unsaidBody names a note.
type unsaidBody struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

func unsaidID(n session.Note) string { return n.Kind + "/" + n.ID }

// unsay has a change be said later, by the next process if this one ends before. The caller holds the board's mu.
func (g *Gate) unsay(ctx context.Context, c change) {
	g.board.unsaid[nameOf(c.note.Kind, c.note.ID)] = c
	if body, err := json.Marshal(unsaidBody{c.note.Kind, c.note.ID}); err == nil {
		g.save(ctx, session.Note{Kind: unsaidNote, ID: unsaidID(c.note), Until: c.note.Until, Body: body})
	}
}

// restoreUnsaid finds the changes that an earlier process could not say. Where the note is gone, it was taken down.
func (g *Gate) restoreUnsaid(notes []session.Note) {
	for _, n := range notes {
		var of unsaidBody
		if n.Kind != unsaidNote || !g.opt.Many || json.Unmarshal(n.Body, &of) != nil {
			continue
		}
		c := change{session.Note{Kind: of.Kind, ID: of.ID}}
		if note, ok := g.board.notes[nameOf(of.Kind, of.ID)]; ok {
			c.note = note
		}
		g.board.unsaid[nameOf(of.Kind, of.ID)] = c
	}
}

// post puts a note on the board, here, in the store, and for all edges. What cannot be written there now is written later.
func (g *Gate) post(ctx context.Context, n session.Note) error {
	return g.write(ctx, change{n})
}

func (g *Gate) withdraw(ctx context.Context, kind, id string) error {
	return g.write(ctx, change{session.Note{Kind: kind, ID: id}})
}

func (g *Gate) write(ctx context.Context, c change) (err error) {
	g.board.mu.Lock()
	defer g.board.mu.Unlock()
	name := nameOf(c.note.Kind, c.note.ID)
	if g.opt.Keeper != nil {
		if c.note.Body == nil {
			_, err = g.opt.Keeper.Withdraw(ctx, c.note.Kind, c.note.ID)
		} else {
			err = g.opt.Keeper.Post(ctx, c.note)
		}
		if err != nil {
			return err // it would not outlive the process, and whoever asks must know
		}
	}
	if c.note.Body == nil {
		delete(g.board.notes, name)
	} else {
		g.board.notes[name] = c.note
	}
	if err := g.say(ctx, c); err != nil {
		g.failed("post", err)
		g.unsay(ctx, c)
	} else if _, was := g.board.unsaid[name]; was {
		g.said(ctx, c.note)
	}
	g.apply()
	return nil
}

// say tells the other edges.
func (g *Gate) say(ctx context.Context, c change) error {
	ctx, cancel := context.WithTimeout(ctx, g.opt.LiveTime)
	defer cancel()
	if c.note.Body == nil {
		_, err := g.live.Withdraw(ctx, c.note.Kind, c.note.ID)
		return err
	}
	return g.live.Post(ctx, c.note)
}

// said notes that a change was said that could not be.
func (g *Gate) said(ctx context.Context, n session.Note) {
	delete(g.board.unsaid, nameOf(n.Kind, n.ID))
	g.save(ctx, session.Note{Kind: unsaidNote, ID: unsaidID(n)})
}

// synchronise compares with the other edges: it says what could not be said, and takes what they have said.
func (g *Gate) synchronise(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTime)
	defer cancel()
	g.board.mu.Lock()
	defer g.board.mu.Unlock()
	for _, c := range g.board.unsaid {
		err := g.say(ctx, c)
		if err != nil {
			g.failed("post", err)
		}
		if errors.Is(err, session.ErrLive) {
			return
		}
		if err == nil {
			g.said(ctx, c.note) // else it objects to this one, and others are heard all the same
		}
	}
	if !g.opt.Many {
		g.expire()
		return
	}
	notes, err := g.live.Board(ctx)
	if err != nil {
		g.failed("board", err)
		return
	}
	if !g.agree(ctx, notes) {
		return
	}
	g.apply()
}

// theBoard marks a board that is whole. Where it is missing, or another one than before, the table has lost what it held, and the edges write it anew.
func theBoard() session.Note {
	return session.Note{Kind: markNote, ID: markNote, Body: json.RawMessage(strconv.Quote(string(session.NewID())))}
}

// agree makes this edge's notes those of the board, and reports whether that changed any. The caller holds the board's mu.
func (g *Gate) agree(ctx context.Context, notes []session.Note) (changed bool) {
	theirs := make(map[string]session.Note, len(notes))
	for _, n := range notes {
		theirs[nameOf(n.Kind, n.ID)] = n
	}
	mark, whole := theirs[nameOf(markNote, markNote)]
	lost := !whole || g.board.mark != "" && g.board.mark != string(mark.Body)
	if lost {
		g.forgot.Store(time.Now().UnixMilli())
		if !g.sayAll(ctx, theirs, whole) {
			return changed
		}
	}
	g.board.mark = string(mark.Body) // none yet if this edge has written it: another may have too
	now := time.Now()
	for name, n := range theirs {
		if n.Kind == markNote || n.Kind == unsaidNote || isOver(n, now) { // their clock may go after ours
			continue
		}
		if mine, ok := g.board.notes[name]; !ok || string(mine.Body) != string(n.Body) || !mine.Until.Equal(n.Until) {
			g.board.notes[name], changed = n, true
			g.save(ctx, n)
		}
	}
	for name, n := range g.board.notes {
		if _, ok := theirs[name]; !ok && !lost && !g.isUnsaid(name) {
			delete(g.board.notes, name)
			changed = true
			g.save(ctx, session.Note{Kind: n.Kind, ID: n.ID})
		}
	}
	return g.expire() || changed
}

// sayAll writes the notes that the board lacks, and the mark if it has none. It reports false where the table cannot be reached.
func (g *Gate) sayAll(ctx context.Context, theirs map[string]session.Note, whole bool) bool {
	for name, n := range g.board.notes {
		if _, there := theirs[name]; there {
			continue
		}
		if err := g.say(ctx, change{n}); errors.Is(err, session.ErrLive) {
			return false
		} else if err != nil {
			g.failed("post", err)
			g.board.unsaid[name] = change{n}
		}
	}
	return whole || g.say(ctx, change{theBoard()}) == nil
}

func (g *Gate) isUnsaid(name string) bool {
	_, ok := g.board.unsaid[name]
	return ok
}

func (g *Gate) save(ctx context.Context, n session.Note) {
	if g.opt.Keeper == nil {
		return
	}
	var err error
	if n.Body == nil {
		_, err = g.opt.Keeper.Withdraw(ctx, n.Kind, n.ID)
	} else {
		err = g.opt.Keeper.Post(ctx, n)
	}
	if err != nil {
		g.log.Error("what another edge has said could not be kept; it holds until this one is started again", "kind", n.Kind, "id", n.ID, "err", err)
	}
}

func isOver(n session.Note, now time.Time) bool { return !n.Until.IsZero() && !now.Before(n.Until) }

// expire lets go of notes that are over.
func (g *Gate) expire() (changed bool) {
	now := time.Now()
	for name, n := range g.board.notes {
		if isOver(n, now) {
			delete(g.board.notes, name)
			changed = changed || n.Kind != endedNote
		}
	}
	if changed && !g.opt.Many {
		g.apply()
	}
	return changed
}

// read looks at the board when there is news.
func (g *Gate) read(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.news:
			g.synchronise(ctx)
		}
	}
}

// watch follows what other edges do.
func (g *Gate) watch(ctx context.Context) {
	err := g.live.Watch(ctx, func(n session.Notice) {
		switch {
		case n.Ended != nil:
			g.ended(n.Ended.Key, n.Ended.Reason, n.Ended.For)
		case n.Taken != nil:
			g.taken(*n.Taken)
		default:
			select {
			case g.news <- struct{}{}: // one look is enough for all that was posted before it
			default:
			}
		}
	})
	if err != nil && ctx.Err() == nil {
		g.log.Error("what other edges do is not heard of any more at once", "err", err)
	}
}
