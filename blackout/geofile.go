package blackout

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxGeo bounds the file: it is held in memory, and twice while it is changed. The largest of MaxMind's have a few hundred MB.
const maxGeo = 2 << 30

// openDatabase reads the file, and says what file it read.
func openDatabase(path string) (*database, os.FileInfo, error) {
	info, err := stat(path)
	if err != nil {
		return nil, nil, err
	}
	db, err := readDatabase(path)
	if err != nil {
		return nil, info, fmt.Errorf("geo file %s: %w", path, err)
	}
	return db, info, nil
}

// stat follows links. What is no file is not opened: it could block for ever.
func stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("geo file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("geo file %s: it is no file", path)
	}
	return info, nil
}

func readDatabase(path string) (*database, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxGeo {
		return nil, fmt.Errorf("%d bytes: at most %d are read", info.Size(), int64(maxGeo))
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, err
	}
	db, err := newDatabase(data)
	if err != nil {
		return nil, err
	}
	return db, db.try()
}

// tries is how many addresses of each family a file is tried with before it is used. That is no proof; reading all of it would take seconds.
const tries = 1 << 12

// try looks addresses from everywhere up, and fails if anything of that cannot be read.
func (db *database) try() error {
	for i := range tries {
		v4 := netip.AddrFrom4([4]byte{byte(i >> 4), byte(i << 4)})
		v6 := netip.AddrFrom16([16]byte{0x20 | byte(i>>8), byte(i)}) // 2000::/4: what is in use
		for _, a := range []netip.Addr{v4, v6} {
			if _, _, broken := db.lookup(a); broken {
				return fmt.Errorf("it is damaged: it has no readable record for %s", a)
			}
		}
	}
	return nil
}

// isDamage tells a damaged file from one that has a value of another kind than was asked for.
func isDamage(err error) bool {
	var damage maxminddb.InvalidDatabaseError
	return errors.As(err, &damage)
}

// look takes the file if it is another, and has been so for two looks.
func (g *Geo) look() {
	info, err := stat(g.path)
	if err != nil {
		if !g.gone {
			g.log.Error("the geo file cannot be read: the one before stays in use", "err", err)
		}
		g.gone = true
		return
	}
	g.gone = false
	settled := same(info, g.seen)
	g.seen = info
	if !settled || same(info, g.tried) {
		return
	}
	g.tried = info
	db, err := readDatabase(g.path)
	if err != nil {
		g.refused.Add(1)
		g.log.Error("the new geo file cannot be used: the one before stays in use", "file", g.path, "err", err)
		return
	}
	g.now.Store(db)
	g.taken.Add(1)
	g.log.Info("a new geo file is in use", "file", g.path, "type", db.reader.Metadata.DatabaseType, "build", db.reader.Metadata.BuildTime().UTC())
	if g.OnChange != nil {
		g.OnChange()
	}
}

// same reports whether two looks found the same file, as far as that shows without reading it: written to, renamed over, and linked to another, it is not.
func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
