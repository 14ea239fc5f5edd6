package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	if err := runMore(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := pulse.run()
	code := buildAndRun(m)
	stop()
	os.Exit(code)
}

// runMore has six tests run at once, unless -parallel says otherwise: they wait for real time to pass, and leave a core idle
// where Go would give each a core.
func runMore() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "earshot-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	earshot = filepath.Join(dir, "earshot")
	args := []string{"build", "-o", earshot}
	if os.Getenv("EARSHOT_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/earshot")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the edge: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
