package session

// lapses holds values for a time, at most max of them: where there are more, those go that would lapse first.
type lapses[K comparable, V any] struct {
	max   int
	all   map[K]*lapse[K, V]
	queue queue[*lapse[K, V]]
}

type lapse[K comparable, V any] struct {
	key   K
	value V
	until int64
	at    int32
}

func (l *lapse[K, V]) due() int64    { return l.until }
func (l *lapse[K, V]) place() *int32 { return &l.at }

func newLapses[K comparable, V any](max int) lapses[K, V] {
	return lapses[K, V]{max: max, all: make(map[K]*lapse[K, V])}
}

func (l *lapses[K, V]) get(k K, now int64) (v V, ok bool) {
	if x := l.all[k]; x != nil && now < x.until {
		return x.value, true
	}
	return v, false
}

func (l *lapses[K, V]) put(k K, v V, until int64) {
	if x := l.all[k]; x != nil {
		x.value, x.until = v, until
		l.queue.fix(x)
		return
	}
	if len(l.all) >= max(l.max, 1) {
		l.drop(l.queue[0])
	}
	x := &lapse[K, V]{key: k, value: v, until: until}
	l.all[k] = x
	l.queue.push(x)
}

func (l *lapses[K, V]) drop(x *lapse[K, V]) {
	l.queue.remove(x)
	delete(l.all, x.key)
}

// sweep forgets at most n that have lapsed.
func (l *lapses[K, V]) sweep(now int64, n int) {
	for ; n > 0 && len(l.queue) > 0 && l.queue[0].until <= now; n-- {
		l.drop(l.queue[0])
	}
}
