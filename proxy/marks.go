package proxy

import "sync"

// marks are where in a connection's output the bytes of one body lie, when those of other bodies lie between them. It is written by the
// goroutine that sends the body and read by whoever settles it.
type marks struct {
	mu   sync.Mutex
	from int64 // position on the connection at which the body began
	list []mark
}

// mark says that n bytes of the body lie before position end, and after the mark before it.
type mark struct{ end, n int64 }

// maxMarks bounds what is remembered of a body; before that the marks run together. With a frame for each, they reach back further than what the
// kernel holds of a connection that [lowerUnsent] has seen.
const maxMarks = 64

// begin says where the body begins.
func (m *marks) begin(at int64) {
	m.mu.Lock()
	m.from = at
	m.mu.Unlock()
}

// add notes that n bytes of the body were given to the connection, which now stands at end.
func (m *marks) add(end, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := len(m.list) - 1; last >= 0 && m.list[last].end >= end {
		m.list[last].n += n
		return
	}
	if len(m.list) == maxMarks {
		m.list[1].n += m.list[0].n
		m.list = append(m.list[:0], m.list[1:]...)
	}
	m.list = append(m.list, mark{end, n})
}

// beyond is how many bytes of the body lie beyond a position. Where the position falls between two marks, all that can be the body's is
// taken to be: what is not certain to have left does not count.
func (m *marks) beyond(position int64) (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for from, i := m.from, 0; i < len(m.list); i++ {
		if k := m.list[i]; k.end > position {
			n += min(k.n, k.end-max(from, position))
		}
		from = m.list[i].end
	}
	return n
}
