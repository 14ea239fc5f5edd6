package origin

import "container/list"

// recent is a table bounded in cost; what was asked for longest ago is forgotten first. It is not safe for concurrent use.
type recent[V any] struct {
	most  int
	table map[string]*list.Element
	order list.List // of *costly[V]; front: asked for last
	cost  int
}

type costly[V any] struct {
	key   string
	value V
	cost  int
}

func newRecent[V any](most int) recent[V] {
	return recent[V]{most: most, table: make(map[string]*list.Element)}
}

func (r *recent[V]) get(key string) (v V, ok bool) {
	e, ok := r.table[key]
	if !ok {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*costly[V]).value, true
}

func (r *recent[V]) put(key string, v V, cost int) {
	r.remove(key)
	r.table[key] = r.order.PushFront(&costly[V]{key, v, cost})
	r.cost += cost
	for r.cost > r.most && r.order.Len() > 1 {
		r.remove(r.order.Back().Value.(*costly[V]).key)
	}
}

func (r *recent[V]) remove(key string) {
	if e, ok := r.table[key]; ok {
		r.cost -= r.order.Remove(e).(*costly[V]).cost
		delete(r.table, key)
	}
}
