package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the import graph of docs/architecture.md: what each package may import of this module. A package that is not here
// does not belong in the house; one that nobody needs is a leaf.
var mayImport = map[string][]string{
	"cmd/earshot":           {"admin", "auth", "blackout", "config", "demo", "gate", "listen", "origin", "origin/blob", "playlist", "proxy", "relay", "session", "session/redislive", "store"},
	"proxy":                 {"gate", "listen", "origin", "playlist", "relay", "session"},
	"admin":                 {"blackout", "gate", "listen", "origin", "relay", "session"},
	"gate":                  {"auth", "blackout", "session"},
	"store":                 {"auth", "blackout", "listen", "session"},
	"relay":                 {"listen"},
	"listen":                {"session"},
	"listen/listentest":     {"listen", "session"},
	"origin":                {"origin/blob", "playlist"},
	"origin/blob":           {},
	"config":                {},
	"playlist":              {},
	"playlist/playlisttest": {},
	"bench":                 {"playlist", "playlist/playlisttest", "session"},
	"session":               {},
	"session/sessiontest":   {"session"},
	"session/redislive":     {"session"},
	"auth":                  {},
	"blackout":              {},
	"demo":                  {},
	"e2e":                   {},
}

// forbidden are names that say nothing about what is inside.
var forbidden = []string{"utils", "util", "common", "models", "types", "helpers", "metrics", "mocks"}

func TestImportGraph(t *testing.T) {
	found := imports(t, "../..")
	for pkg, uses := range found {
		allowed, ok := mayImport[pkg]
		if !ok {
			t.Errorf("package %s has no room in the house: give it one here, in DESIGN's words, or put the code where it belongs", pkg)
			continue
		}
		for _, use := range uses {
			if !slices.Contains(allowed, use) {
				t.Errorf("%s imports %s, which it may not", pkg, use)
			}
		}
		if slices.Contains(forbidden, filepath.Base(pkg)) {
			t.Errorf("package %s: the name says nothing", pkg)
		}
	}
	for pkg := range mayImport {
		if _, ok := found[pkg]; !ok {
			t.Errorf("package %s is in the graph and not in the tree", pkg)
		}
	}
}

// imports maps each package under root to what it imports of this module, tests left out.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && path != root) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		found[pkg] = append(found[pkg], ours(file.Imports)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func ours(specs []*ast.ImportSpec) (out []string) {
	for _, spec := range specs {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			if name, ok := strings.CutPrefix(path, "earshot/"); ok {
				out = append(out, name)
			}
		}
	}
	return out
}
