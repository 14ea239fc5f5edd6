package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// writePlaces writes a MaxMind file that puts networks in countries, in one step, as those who update it do.
func writePlaces(t testing.TB, path string, countries map[string]string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, country := range countries {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(n, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(country)}}); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestDoorPlaces: a rule for a country, from a MaxMind file. Who is there is refused, who roams in is cut, who is nowhere that is known is refused as the rule says;
// when the file is replaced, and says otherwise, what it says now holds, for who plays too. The country stands in the books.
func TestDoorPlaces(t *testing.T) {
	t.Parallel()
	const inGermany, inFrance, nowhere = "192.0.2.9", "198.51.100.9", "203.0.113.9"
	places := filepath.Join(t.TempDir(), "places.mmdb")
	writePlaces(t, places, map[string]string{"192.0.2.0/24": "DE", "198.51.100.0/24": "FR"})
	o := startDoorOrigin(t)
	d := startDoor(t, o.onDemand("films"), "geo: "+places+`
blackouts:
  - {id: cup, streams: [films], where: {country: DE}, message: "Not in Germany"}
`)
	master := d.listen + "/films/master.m3u8"
	newDoorPlayer(t, inGermany, "A").begin(master).isBlackout(t, "cup", "Not in Germany")
	newDoorPlayer(t, nowhere, "A").begin(master).isBlackout(t, "cup", "Not in Germany")
	roams, stays := newDoorPlayer(t, inFrance, "Roams"), newDoorPlayer(t, inFrance, "Stays")
	roams.start(master)
	roams.plays(time.Second)
	stays.start(master)
	stays.plays(time.Second)
	roams.address = inGermany
	roams.segment().isBlackout(t, "cup", "Not in Germany")
	d.evidence(t, "cup", "cut", roams.id())
	eventually(t, 10*time.Second, "the country stands in the books", func() error {
		var country string
		if err := d.database(t).QueryRow("SELECT country FROM listen_events WHERE session_id = ? AND bytes > 0", stays.id()).Scan(&country); err != nil {
			return err
		} else if country != "FR" {
			return fmt.Errorf("it is %q", country)
		}
		return nil
	})
	writePlaces(t, places, map[string]string{"192.0.2.0/24": "FR", "198.51.100.0/24": "DE"})
	eventually(t, 30*time.Second, "the new file is heeded", func() error {
		if r := stays.segment(); r.Code != "blackout" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	roams.plays(time.Second)
	stays.address = inGermany // which is France now
	stays.plays(time.Second)
}
