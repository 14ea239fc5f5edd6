package relay

import (
	"errors"
	"net"
	"time"

	"earshot/listen"
)

// Join is a listener who joins.
type Join struct {
	// Conn is the listener's connection, whole: nobody else reads, writes or closes it once Join has succeeded.
	// Wrappers with a NetConn method, such as tls.Conn, are looked through.
	Conn    net.Conn
	Pending []byte // goes first and is not metered: the head of the answer, if the caller has not written it
	MetaInt int    // audio bytes between metadata blocks; 0: none
	Stream  string // stream key on the account

	// Account is what is heard is charged to. Where it is nil, who asks may only be looking, as players do who ask for the first two bytes of a
	// stream: he is sent what a listener is, and Admit says to which account it all goes if he is still there after trialTime. If it refuses he is cut.
	Account *listen.Account
	Admit   func() (*listen.Account, error)

	From Place // where he begins, from Seek; the zero Place: a burst behind live, after the mount's intro

	// Unsent, if not nil, tells how many of the bytes written to Conn have not left, where Conn has no socket of its own to ask: it is
	// one of the streams of an HTTP/2 connection. It must not block.
	Unsent func() int64

	// Info, if it names a type, is what the head was made of that he has been sent, or that is Pending: Join fails with [ErrChanged] where the
	// stream has become another since.
	Info Info

	Ticket *Ticket // if not nil, is for this connection from then on

	// OnLeave, if not nil, is called once if Join succeeded, when the meter is settled and the connection closed; never if it failed. Shutdown
	// waits for it.
	OnLeave func(Left)
}

// Left is how it was when a listener left.
type Left struct {
	Reason listen.Reason
	Bytes  int64         // of the body that he has had
	For    time.Duration // since he joined
}

// Join hands a connection to the hub and returns. The listener gets whole frames from the burst on, until he leaves or
// is cut. On an error ([ErrFull], [ErrClosed], [ErrChanged]) the connection stays the caller's.
func (h *Hub) Join(j Join) error {
	if j.Conn == nil || j.Account == nil && j.Admit == nil {
		return errors.New("join without a connection, or without an account")
	}
	l, intro := newListener(h, j), h.intro.first()
	h.mu.Lock() // under which the ring is emptied
	defer h.mu.Unlock()
	if err := h.refusal(); err != nil {
		return err
	}
	if j.Info.ContentType != "" && familyOf(j.Info.ContentType) != familyOf(h.info.ContentType) {
		return ErrChanged
	}
	l.startAt(j.From, intro)
	l.ticket.give(l) // before anything of his runs, which takes it back
	h.listeners[l] = struct{}{}
	if l.looks {
		h.looking++
	}
	h.counted()
	h.start()
	if !l.direct {
		h.relay.running.Go(l.run)
	}
	l.writer.call(l)
	return nil
}

func newListener(h *Hub, j Join) *listener {
	l := &listener{hub: h, conn: j.Conn, sock: socketOf(j.Conn), writer: h.relay.writer(), onLeave: j.OnLeave,
		ticket: j.Ticket, joined: time.Now(), cursor: cursor{metaInt: max(0, j.MetaInt), metaLeft: max(0, j.MetaInt)}}
	l.place.pace = nowhere
	if len(j.Pending) > 0 {
		l.pending = j.Pending
	}
	l.meter = meter{account: j.Account, stream: j.Stream, axis: h.axis, unsent: l.sock.unsent}
	if l.sock == nil && j.Unsent != nil {
		l.meter.unsent = j.Unsent
	}
	if j.Account != nil {
		l.account.Store(j.Account)
	} else {
		l.looks, l.trial = true, &trial{until: l.joined.Add(trialTime), admit: j.Admit}
	}
	if _, l.direct = j.Conn.(*net.TCPConn); !l.direct || l.sock == nil || !pollable {
		l.direct, l.wake, l.let = false, make(chan struct{}, 1), make(chan struct{})
	}
	return l
}

// startAt is where the listener begins. The caller holds the hub's mu.
func (l *listener) startAt(p Place, intro *chunk) {
	if p.at != nil && !l.hub.ring.holds(p.at) {
		p = l.hub.Seek(p.Behind) // what he was to begin with was forgotten while he was let in
	}
	switch {
	case p.at != nil:
		l.lag, l.meter.offset = p.lag, p.Behind
		l.begin(p.at)
	case intro != nil:
		l.intro = true
		l.begin(intro)
	default:
		l.begin(l.hub.ring.join())
	}
}

// left forgets a listener who is gone.
func (h *Hub) left(l *listener, reason listen.Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
	if l.looks {
		h.looking--
	}
	h.counted()
	if reason != listen.Left {
		h.relay.opt.Metrics.cut(reason)
	}
	h.rest()
}
