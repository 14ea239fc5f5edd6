package session

// queue is a heap of what is due at some time, the earliest first. Each item knows its place, so that it can be taken out.
type queue[T interface {
	comparable
	due() int64
	place() *int32
}] []T

func (q *queue[T]) push(x T) {
	*q = append(*q, x)
	*x.place() = int32(len(*q) - 1)
	q.up(len(*q) - 1)
}

func (q *queue[T]) remove(x T) {
	i, last := int(*x.place()), len(*q)-1
	moved := (*q)[last]
	var none T
	(*q)[last] = none
	*q = (*q)[:last]
	if i != last {
		(*q)[i] = moved
		*moved.place() = int32(i)
		q.fix(moved)
	}
}

// fix puts x where it belongs after it has become due at another time.
func (q *queue[T]) fix(x T) {
	i := int(*x.place())
	if q.up(i) == i {
		q.down(i)
	}
}

func (q *queue[T]) up(i int) int {
	h := *q
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].due() <= h[i].due() {
			break
		}
		h.swap(i, parent)
		i = parent
	}
	return i
}

func (q *queue[T]) down(i int) {
	h := *q
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].due() < h[child].due() {
			child++
		}
		if h[i].due() <= h[child].due() {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (q queue[T]) swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	*q[i].place(), *q[j].place() = int32(i), int32(j)
}
