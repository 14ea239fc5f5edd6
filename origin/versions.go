package origin

import (
	"container/list"
	"sync"
)

// versions remembers the latest version of each playlist, the least recently asked for is forgotten first. It answers no
// request by itself: it saves parsing what has not changed.
type versions struct {
	mu    sync.Mutex
	byURL map[string]*list.Element
	order list.List // of version; front: asked for last
	bytes int
}

type version struct {
	url string
	p   *Playlist
}

// maxVersions bounds what is remembered, in bytes: bodies and what was made of them.
const maxVersions = 64 << 20

func (v *versions) get(url string) *Playlist {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.byURL[url]
	if !ok {
		return nil
	}
	v.order.MoveToFront(e)
	return e.Value.(version).p
}

func (v *versions) put(url string, p *Playlist) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byURL == nil {
		v.byURL = make(map[string]*list.Element)
	}
	if e, ok := v.byURL[url]; ok {
		v.drop(e)
	}
	v.byURL[url] = v.order.PushFront(version{url, p})
	v.bytes += cost(url, p)
	for v.bytes > maxVersions && v.order.Len() > 1 {
		v.drop(v.order.Back())
	}
}

func (v *versions) drop(e *list.Element) {
	old := v.order.Remove(e).(version)
	delete(v.byURL, old.url)
	v.bytes -= cost(old.url, old.p)
}

// cost is about what a version holds in memory. A segment takes more once it is parsed than the few bytes it may be written with.
func cost(url string, p *Playlist) int {
	const perSegment, perChild = 256, 256
	n := len(url) + len(p.Body) + 1024
	if p.Doc != nil {
		n += perChild * len(p.Doc.Children)
		if p.Doc.Media != nil {
			n += perSegment * len(p.Doc.Media.Segments)
		}
	}
	return n
}
