package playlist

import (
	"os"
	"strings"
	"testing"
)

// TestDocNamesEveryTag: docs/playlists.md says what becomes of each URI that the package knows of.
func TestDocNamesEveryTag(t *testing.T) {
	text, err := os.ReadFile("../docs/playlists.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, tag := range tags {
		var row string
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(line, "|")
			if len(cells) > 2 && strings.Contains(cells[1]+",", name+" ") || len(cells) > 2 && strings.Contains(cells[1]+",", name+",") {
				row = cells[2]
			}
		}
		for _, attribute := range tag.uris {
			if !strings.Contains(row, "`"+attribute+"`") {
				t.Errorf("no row of %s says what becomes of its %s: %q", name, attribute, row)
			}
		}
	}
}
