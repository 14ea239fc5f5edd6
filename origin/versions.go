package origin

import "sync"

// versions remembers the latest version of each playlist, by where it came from in the end. It answers no request by itself: it saves parsing what
// has not changed.
type versions struct {
	mu sync.Mutex
	recent[*Playlist]
}

// maxVersions bounds what is remembered, in bytes: bodies and what was made of them.
const maxVersions = 64 << 20

func (v *versions) get(url string) *Playlist {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, _ := v.recent.get(url)
	return p
}

func (v *versions) put(url string, p *Playlist) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.recent.put(url, p, cost(url, p))
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
