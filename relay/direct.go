package relay

import (
	"errors"
	"time"

	"earshot/listen"
)

// errAgain says that a socket takes no more at present; the poll tells when it does again.
var errAgain = errors.New("the socket takes no more at present")

// send writes to a listener's socket what there is, as far as it takes it without waiting. The answer is why he is to leave, or "".
func (w *writer) send(l *listener, now time.Time) listen.Reason {
	for {
		if reason := l.over(); reason != "" {
			return reason
		}
		w.pieces = w.pieces[:0]
		if l.pending != nil {
			w.pieces = append(w.pieces, l.pending)
		}
		pieces, size, from, then := l.look(w.pieces, now)
		w.pieces = pieces
		all := len(l.pending) + size
		if all == 0 {
			l.idle(now)
			return ""
		}
		n, err := w.out.write(l.sock, pieces)
		clear(pieces) // must not keep the ring's chunks alive
		if n > 0 {
			l.since = time.Time{}
			l.sent(n, size, from, then)
		}
		switch {
		case err == errAgain || err == nil && n < all:
			if l.since.IsZero() {
				l.since = now
			}
			return ""
		case err != nil:
			return listen.Left
		}
	}
}
