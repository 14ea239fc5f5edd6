package redislive

import (
	"io/fs"
	"regexp"
	"testing"
)

// later is what Redis knows since 6.2 only. Managed ones are older; and what fails under pcall fails silently.
var later = regexp.MustCompile(`'(GT|LT|REV|BYSCORE|BYLEX|ZMSCORE|ZUNION|ZINTER|ZDIFF|ZRANGESTORE|GETDEL|GETEX|COPY|SMISMEMBER|LMOVE|EXAT|PXAT)'`)

func TestScriptsAreForRedis6(t *testing.T) {
	names, err := fs.Glob(files, "lua/*.lua")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := later.FindAll(text, -1); found != nil {
			t.Errorf("%s: %s", name, found)
		}
	}
}
