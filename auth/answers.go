package auth

import (
	"container/list"
	"sync"
)

// maxAnswers bounds what is remembered of a backend's answers: some 30 MB with long names.
const maxAnswers = 50_000

// answers are the last ones by key, those that were not used for long forgotten first. They are kept when their time is over: a backend that does
// not answer leaves nothing better.
type answers struct {
	max int

	mu    sync.Mutex
	by    map[answerKey]*list.Element
	order *list.List // of *remembered, the last used first
}

type remembered struct {
	key    answerKey
	answer answer
}

func newAnswers(limit int) *answers {
	return &answers{max: limit, by: make(map[answerKey]*list.Element), order: list.New()}
}

func (a *answers) get(k answerKey) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.by[k]
	if e == nil {
		return answer{}, false
	}
	a.order.MoveToFront(e)
	return e.Value.(*remembered).answer, true
}

func (a *answers) put(k answerKey, v answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.by[k]; e != nil {
		e.Value.(*remembered).answer = v
		a.order.MoveToFront(e)
		return
	}
	if a.order.Len() >= a.max {
		last := a.order.Back()
		delete(a.by, a.order.Remove(last).(*remembered).key)
	}
	a.by[k] = a.order.PushFront(&remembered{k, v})
}
