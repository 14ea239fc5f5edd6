package blackout

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/prometheus/client_golang/prometheus"
)

type (
	m     = mmdbtype.Map
	str   = mmdbtype.String
	slice = mmdbtype.Slice
)

// made is a MaxMind file with a record for each network.
func made(t testing.TB, opt mmdbwriter.Options, records map[string]mmdbtype.DataType) []byte {
	t.Helper()
	opt.IncludeReservedNetworks = true // the documentation's
	tree, err := mmdbwriter.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(n, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func country(code string) m { return m{"country": m{"iso_code": str(code)}} }

func city(t testing.TB, build int64) []byte {
	return made(t, mmdbwriter.Options{DatabaseType: "GeoIP2-City", BuildEpoch: build}, map[string]mmdbtype.DataType{
		"192.0.2.0/24": m{
			"country":      m{"iso_code": str("US"), "names": m{"en": str("United States")}},
			"subdivisions": slice{m{"iso_code": str("CA")}, m{"iso_code": str("XX")}},
			"location":     m{"metro_code": mmdbtype.Uint16(807), "latitude": mmdbtype.Float64(37.5)},
			"postal":       m{"code": str("94016")},
		},
		"198.51.100.0/24": m{
			"country":      m{"iso_code": str("gb")},
			"subdivisions": slice{m{"iso_code": str("ENG")}},
			"location":     m{"metro_code": str("London1")},
			"postal":       m{"code": str("sw1a")},
		},
		"203.0.113.0/25":   m{"country": m{"iso_code": str("FR")}, "subdivisions": slice{}},
		"203.0.113.128/25": m{"subdivisions": slice{m{"geoname_id": mmdbtype.Uint32(1)}}},
		"233.252.0.0/24":   m{"country": str("United States"), "location": str("here"), "postal": slice{}, "subdivisions": m{}},
		"233.252.1.0/24": m{"country": m{"iso_code": str("United States")}, "subdivisions": slice{m{"iso_code": str("a long way off")}},
			"location": m{"metro_code": mmdbtype.Int32(-1)}, "postal": m{"code": str(strings.Repeat("9", 300))}},
		"2001:db8::/32": m{"country": m{"iso_code": str("DE")}, "location": m{"metro_code": mmdbtype.Uint64(0)}},
	})
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func opened(t testing.TB, data []byte) *Geo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "geo.mmdb")
	write(t, path, data)
	g, err := OpenGeo(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLookup(t *testing.T) {
	g := opened(t, city(t, 1_700_000_000))
	if got := g.Build().Unix(); got != 1_700_000_000 {
		t.Errorf("build %d", got)
	}
	california := Place{Country: "US", Subdivision: "CA", Metro: "807", Postal: "94016"}
	for _, c := range []struct {
		address, why string
		want         Place
	}{
		{"192.0.2.7", "numbers as text, the first subdivision", california},
		{"::ffff:192.0.2.7", "an IPv4 address written as IPv6", california},
		{"2002:c000:207::1", "6to4 is where the IPv4 address in it is", california},
		{"198.51.100.1", "upper case", Place{Country: "GB", Subdivision: "ENG", Metro: "LONDON1", Postal: "SW1A"}},
		{"203.0.113.1", "some fields are not there", Place{Country: "FR"}},
		{"203.0.113.200", "a subdivision without a code", Place{}},
		{"233.252.0.1", "values of other kinds", Place{}},
		{"233.252.1.1", "values that are no codes", Place{}},
		{"2001:db8::1", "IPv6", Place{Country: "DE"}},
		{"2001:db8::1%eth0", "with a zone", Place{Country: "DE"}},
		{"10.0.0.1", "not in the file", Place{}},
		{"2001:db9::1", "not in the file", Place{}},
	} {
		if got := g.Lookup(netip.MustParseAddr(c.address)); got != c.want {
			t.Errorf("%s (%s): %+v, want %+v", c.address, c.why, got, c.want)
		}
	}
	if got := g.Lookup(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address: %+v", got)
	}
	if found, missed, broken := g.found.Load(), g.missed.Load(), g.broken.Load(); found != 10 || missed != 3 || broken != 0 {
		t.Errorf("found %d, missed %d, broken %d", found, missed, broken)
	}
	if got := (*Geo)(nil).Lookup(netip.MustParseAddr("192.0.2.7")); got != (Place{}) {
		t.Errorf("without a file: %+v", got)
	}
}

func TestLookupCountryOnly(t *testing.T) {
	for version, opt := range map[int]mmdbwriter.Options{
		4: {IPVersion: 4, RecordSize: 24},
		6: {DatabaseType: "GeoLite2-Country", RecordSize: 32, DisableIPv4Aliasing: true},
	} {
		g := opened(t, made(t, opt, map[string]mmdbtype.DataType{"192.0.2.0/24": country("US")}))
		if got := g.Lookup(netip.MustParseAddr("192.0.2.1")); got != (Place{Country: "US"}) {
			t.Errorf("IPv%d: %+v", version, got)
		}
		if got := g.Lookup(netip.MustParseAddr("2001:db8::1")); got != (Place{}) {
			t.Errorf("IPv%d: %+v", version, got)
		}
		if n := g.broken.Load(); n != 0 {
			t.Errorf("IPv%d: %d broken", version, n)
		}
	}
}

// TestDamaged: whatever is wrong with a file, it is refused or what can be read of it is sound; nothing panics, and what cannot be read is counted.
func TestDamaged(t *testing.T) {
	whole := city(t, 1)
	for n := 0; n < len(whole); n += 1 + n/8 {
		if db, err := newDatabase(whole[:n]); err == nil && db.try() == nil {
			t.Errorf("cut short to %d of %d bytes, and taken", n, len(whole))
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	refused, unreadable := 0, 0
	for range 1500 {
		bad := bytes.Clone(whole)
		for range 1 + rnd.IntN(8) {
			bad[rnd.IntN(len(bad))] = byte(rnd.Uint32())
		}
		db, err := newDatabase(bad)
		if err != nil {
			refused++
			continue
		}
		for _, address := range []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "233.252.0.1", "2001:db8::1", "1.1.1.1"} {
			place, _, broken := db.lookup(netip.MustParseAddr(address))
			if broken {
				unreadable++
			}
			sound := place.Country == "" || len(place.Country) == 2 && only(place.Country, letter)
			if !sound || len(place.Postal) > 32 || len(place.Metro) > 32 || len(place.Subdivision) > 3 {
				t.Fatalf("%+v", place)
			}
		}
	}
	if refused == 0 || unreadable == 0 {
		t.Errorf("nothing was damaged: %d refused, %d unreadable", refused, unreadable)
	}
}

// TestDeep: a record that is nested without end is no more than unknown, wherever in it the nest is.
func TestDeep(t *testing.T) {
	nest := append(bytes.Repeat([]byte{1, 4}, 1<<20), 0x41, 'x') // lists of one list each, and a text
	for name, record := range map[string]m{
		"before":  {"a": mmdbtype.Bytes(nest), "country": m{"iso_code": str("US")}},
		"country": {"country": m{"iso_code": mmdbtype.Bytes(nest)}},
		"number":  {"location": m{"metro_code": mmdbtype.Bytes(nest)}},
	} {
		b := made(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"192.0.2.0/24": record})
		at := bytes.Index(b, nest)
		copy(b[at-4:], []byte{1, 4, 1, 4}) // what said that it was bytes
		db, err := newDatabase(b)
		if err != nil {
			t.Fatal(err)
		}
		if place, found, broken := db.lookup(netip.MustParseAddr("192.0.2.1")); place != (Place{}) || !found || !broken {
			t.Errorf("%s: %+v, found %t, broken %t", name, place, found, broken)
		}
	}
}

// TestPanicIsContained: a reader that panics, as one without a file does.
func TestPanicIsContained(t *testing.T) {
	var lines bytes.Buffer
	g := &Geo{log: slog.New(slog.NewTextHandler(&lines, nil)), path: "geo.mmdb"}
	g.now.Store(&database{})
	for range 3 {
		if got := g.Lookup(netip.MustParseAddr("192.0.2.1")); got != (Place{}) {
			t.Errorf("%+v", got)
		}
	}
	if g.broken.Load() != 3 || strings.Count(lines.String(), "\n") != 1 {
		t.Errorf("%d counted, logged %q", g.broken.Load(), lines.String())
	}
}

// damaged is a file that opens, with records that cannot be read.
func damaged(t testing.TB) []byte {
	b := made(t, mmdbwriter.Options{BuildEpoch: 9}, map[string]mmdbtype.DataType{"0.0.0.0/1": country("US"), "128.0.0.0/1": country("GB"), "2000::/3": country("DE")})
	at := bytes.Index(b, []byte("iso_code"))
	for i := at - 1; i < at+8; i++ {
		b[i] = 0xff
	}
	return b
}

func TestOpenGeoRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("no database"), "half": city(t, 1)[:500], "damaged": damaged(t)} {
		path := filepath.Join(dir, name)
		write(t, path, data)
		if _, err := OpenGeo(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "none"), "/dev/zero"} {
		if _, err := OpenGeo(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestReload: the file is replaced in every way that files are.
func TestReload(t *testing.T) {
	file := func(code string, build int64) []byte {
		return made(t, mmdbwriter.Options{BuildEpoch: build}, map[string]mmdbtype.DataType{"192.0.2.0/24": country(code)})
	}
	dir := t.TempDir()
	real, other, path := filepath.Join(dir, "real"), filepath.Join(dir, "other"), filepath.Join(dir, "geo.mmdb")
	write(t, real, file("AA", 1))
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	g, err := OpenGeo(path, slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	g.OnChange = func() { changes++ }
	date := time.Unix(1_700_000_000, 0)
	touch := func(path string) { // every version has a time of its own, however coarse the clock of the file system
		date = date.Add(time.Second)
		if err := os.Chtimes(path, date, date); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what, code string, wantChanges, wantLines int) {
		t.Helper()
		for range 4 {
			g.look()
		}
		if got := g.Lookup(netip.MustParseAddr("192.0.2.1")).Country; got != code {
			t.Errorf("%s: %s is in use, want %s", what, got, code)
		}
		if changes != wantChanges {
			t.Errorf("%s: told of %d changes, want %d", what, changes, wantChanges)
		}
		if got := strings.Count(lines.String(), "level=ERROR"); got != wantLines {
			t.Errorf("%s: %d errors logged, want %d:\n%s", what, got, wantLines, &lines)
		}
	}
	expect("nothing has changed", "AA", 0, 0)
	write(t, real, file("BB", 2))
	touch(real)
	expect("written to", "BB", 1, 0)
	if g.Build().Unix() != 2 {
		t.Error(g.Build())
	}
	stamp, err := os.Stat(real)
	if err != nil {
		t.Fatal(err)
	}
	write(t, other, file("CC", 3))
	if err := os.Chtimes(other, stamp.ModTime(), stamp.ModTime()); err != nil {
		t.Fatal(err)
	}
	rename(other, real)
	expect("renamed over, of the same size and time", "CC", 2, 0)
	write(t, other, file("DD", 4))
	if err := os.Symlink(other, path+".new"); err != nil {
		t.Fatal(err)
	}
	rename(path+".new", path)
	expect("linked to another", "DD", 3, 0)
	write(t, other, damaged(t))
	touch(other)
	expect("damaged", "DD", 3, 1)
	write(t, other, file("EE", 5)[:300])
	touch(other)
	expect("cut short", "DD", 3, 2)
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	expect("gone", "DD", 3, 3)
	write(t, other, file("EE", 5))
	touch(other)
	expect("there again", "EE", 4, 3)

	reg := prometheus.NewRegistry()
	g.Register(reg)
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, one := range f.Metric {
			name := f.GetName()
			for _, l := range one.Label {
				name += " " + l.GetValue()
			}
			got[name] = one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	want := map[string]float64{"earshot_geo_build_timestamp_seconds": 5, "earshot_geo_reloads_total refused": 2, "earshot_geo_reloads_total taken": 4,
		"earshot_geo_lookups_total found": 8, "earshot_geo_lookups_total missing": 0, "earshot_geo_lookups_total broken": 0}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestReloadSettles: a file that is being written is not read.
func TestReloadSettles(t *testing.T) {
	g := opened(t, city(t, 1))
	whole := city(t, 2)
	for n := range 5 {
		write(t, g.path, whole[:len(whole)*n/5])
		g.look()
	}
	write(t, g.path, whole)
	g.look()
	if g.refused.Load() != 0 || g.Build().Unix() != 1 {
		t.Fatalf("%d refused, build %v: it was read while it was written", g.refused.Load(), g.Build())
	}
	g.look()
	if g.Build().Unix() != 2 {
		t.Error("it is not in use")
	}
}

// TestRun: lookups go on while files change under them.
func TestRun(t *testing.T) {
	g := opened(t, city(t, 1))
	g.Every = time.Millisecond
	changed := make(chan struct{}, 1)
	g.OnChange = func() { changed <- struct{}{} }
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { g.Run(ctx) })
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				if got := g.Lookup(netip.MustParseAddr("192.0.2.1")); got.Postal != "94016" {
					t.Errorf("%+v", got)
					return
				}
			}
		})
	}
	for i := range int64(3) {
		next := g.path + ".new"
		write(t, next, city(t, 2+i))
		if err := os.Rename(next, g.path); err != nil {
			t.Fatal(err)
		}
		<-changed
		if got := g.Build().Unix(); got != 2+i {
			t.Errorf("build %d, want %d", got, 2+i)
		}
	}
	stop()
	all.Wait()
}

func BenchmarkLookup(b *testing.B) {
	g := opened(b, city(b, 1))
	for _, c := range []struct{ name, address string }{{"city", "192.0.2.1"}, {"country", "2001:db8::1"}, {"none", "10.0.0.1"}} {
		b.Run(c.name, func(b *testing.B) {
			a := netip.MustParseAddr(c.address)
			b.ReportAllocs()
			for b.Loop() {
				g.Lookup(a)
			}
		})
	}
}
