package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryTestIsRun: `make test` runs most packages under the race detector alone. Those with tests that are shorter there, or not there, stand in the Makefile's PLAIN.
func TestEveryTestIsRun(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(makefile), "\nPLAIN = ")
	line, _, _ := strings.Cut(rest, "\n")
	plain := strings.Fields(line)
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") || strings.Contains(path, "node_modules") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pkg := "./" + strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../")
		apart := strings.Contains(string(text), "testing."+"Short()") || strings.Contains(string(text), "//go:build "+"!race")
		if apart && !slices.Contains(plain, pkg) {
			t.Errorf("%s has a test that is shorter under the race detector, or not there at all, and %s is not in PLAIN", path, pkg)
		}
		return nil
	})
	if err != nil || len(plain) == 0 {
		t.Error(plain, err)
	}
}
