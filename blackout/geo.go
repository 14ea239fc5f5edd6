package blackout

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Geo looks places up in a MaxMind file, and takes a new one when the file has changed. A nil Geo knows no place.
type Geo struct {
	// Every is how often the file is looked at, OnChange is called after another was taken. Both are set before Run.
	Every    time.Duration
	OnChange func()

	path string
	log  *slog.Logger
	now  atomic.Pointer[database]

	found, missed, broken atomic.Uint64 // lookups
	taken, refused        atomic.Uint64 // files, after the first

	// Owned by Run.
	seen, tried os.FileInfo // as it was at the last look; as it was when it was last read
	gone        bool        // that it is not there has been told
}

// lookAgain is how often the file is looked at. A new one is taken at the second look that finds it the same, since files are written bit by bit.
const lookAgain = 5 * time.Second

// OpenGeo reads a MaxMind file.
func OpenGeo(path string, log *slog.Logger) (*Geo, error) {
	db, info, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	g := &Geo{Every: lookAgain, path: path, log: log, seen: info, tried: info}
	g.now.Store(db)
	return g, nil
}

// Build is when the file in use was made; zero without one.
func (g *Geo) Build() time.Time {
	if g == nil {
		return time.Time{}
	}
	return g.now.Load().reader.Metadata.BuildTime()
}

// Lookup is where an address is, as far as the file knows. What cannot be read of it is not known; that is counted, and logged once for each file.
func (g *Geo) Lookup(a netip.Addr) Place {
	if g == nil {
		return Place{}
	}
	db := g.now.Load()
	place, found, broken := db.lookup(a)
	switch {
	case broken:
		g.broken.Add(1)
		if db.told.CompareAndSwap(false, true) {
			g.log.Error("the geo file is damaged: what cannot be read of it counts as unknown", "file", g.path)
		}
	case found:
		g.found.Add(1)
	default:
		g.missed.Add(1)
	}
	return place
}

// Run looks at the file until ctx is done.
func (g *Geo) Run(ctx context.Context) {
	tick := time.NewTicker(g.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.look()
		}
	}
}

// database is one state of the file. It is in memory, not mapped: a mapped file that somebody writes to changes under a lookup, and one that is
// cut short kills the process; and nothing has to be closed, so none is under a lookup in flight.
type database struct {
	reader  *maxminddb.Reader
	scratch sync.Pool // of *scratch
	told    atomic.Bool
}

// scratch is what values are decoded into. It is kept, as the decoder needs it on the heap.
type scratch struct {
	text   string
	number uint64
}

func newDatabase(data []byte) (*database, error) {
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, err
	}
	return &database{reader: reader, scratch: sync.Pool{New: func() any { return new(scratch) }}}, nil
}

// Where the fields of a place are: the records of MaxMind's City, Enterprise and Country files.
var (
	countryPath     = []any{"country", "iso_code"}
	subdivisionPath = []any{"subdivisions", 0, "iso_code"}
	metroPath       = []any{"location", "metro_code"}
	postalPath      = []any{"postal", "code"}
)

// lookup finds a place. Broken is that something in the file could not be read; what could is in the place.
func (db *database) lookup(a netip.Addr) (place Place, found, broken bool) {
	defer func() {
		if recover() != nil { // the file is foreign: nothing in it may stop the edge
			broken = true
		}
	}()
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.Is6() && db.reader.Metadata.IPVersion == 4 {
		return Place{}, false, false
	}
	at := db.reader.Lookup(a)
	if at.Err() != nil {
		return Place{}, false, true
	}
	if !at.Found() {
		return Place{}, false, false
	}
	s := db.scratch.Get().(*scratch)
	defer db.scratch.Put(s)
	read := func(path []any, ok func(string) bool) string {
		text, err := s.read(at, path)
		if err != nil {
			broken = true
			return ""
		}
		if text = strings.ToUpper(text); !ok(text) {
			return ""
		}
		return text
	}
	place.Country = read(countryPath, func(s string) bool { return len(s) == 2 && only(s, letter) })
	place.Subdivision = read(subdivisionPath, func(s string) bool { return len(s) <= 3 && only(s, alphanumeric) })
	place.Metro = read(metroPath, func(s string) bool { return len(s) <= 32 && only(s, alphanumeric) && s != "0" })
	place.Postal = read(postalPath, func(s string) bool { return len(s) <= 32 && printable(s) })
	return place, true, broken
}

// read reads a text, or a number as one. What is not there is empty; so is what is of another kind, as in files with other records.
func (s *scratch) read(at maxminddb.Result, path []any) (string, error) {
	s.text, s.number = "", 0
	err := at.DecodePath(&s.text, path...)
	if err == nil || isDamage(err) {
		return s.text, err
	}
	if err = at.DecodePath(&s.number, path...); err == nil {
		return strconv.FormatUint(s.number, 10), nil
	}
	if isDamage(err) {
		return "", err
	}
	return "", nil
}
