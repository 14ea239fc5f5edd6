package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the earshot command when a script runs it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"earshot": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// TestScripts drives the real command line by the stories in testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(env *testscript.Env) error {
		// $ORIGIN serves the script's folder origin.
		s := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(env.WorkDir, "origin"))))
		env.Defer(s.Close)
		env.Setenv("ORIGIN", s.URL)
		return nil
	}})
}
