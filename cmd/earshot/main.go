// Command earshot is a streaming edge proxy for HLS and Icecast. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"earshot/config"
)

const usage = `earshot counts what is heard, in front of the HLS packager or the Icecast that you already have.

  earshot serve -config FILE    run the edge
  earshot check -config FILE    say what is wrong with a configuration, and where
                -probe [PATH…]  and ask its origins, for these playlists or those of the usual names
  earshot demo                  an origin, an edge and a page that plays both, all local
  earshot version
`

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait for the drain
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage is wrong usage; what is wrong has been printed.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"serve": serveCommand, "check": checkCommand, "demo": demoCommand, "version": versionCommand,
	}
	command, ok := commands[args[0]]
	switch {
	case args[0] == "help" || args[0] == "-h" || args[0] == "--help" || args[0] == "-help":
		fmt.Fprint(stdout, usage)
		return exitOK
	case !ok:
		fmt.Fprintf(stderr, "earshot: there is no command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	err := command(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	}
	var problems config.Errors
	if errors.As(err, &problems) {
		fmt.Fprintln(stderr, problems.Error())
	} else {
		fmt.Fprintf(stderr, "earshot %s: %v\n", args[0], err)
	}
	return exitFailed
}

// parse reads the flags of a command that takes nothing else.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	rest, err := parseAll(flags, args, stderr)
	if err == nil && len(rest) > 0 {
		err = noArguments(flags, rest, stderr)
	}
	return err
}

// parseAll reads the flags of a command and returns its other arguments. They may stand in any order.
func parseAll(flags *flag.FlagSet, args []string, stderr io.Writer) (rest []string, err error) {
	flags.SetOutput(stderr)
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return nil, err
		case err != nil:
			return nil, errUsage
		case flags.NArg() == 0:
			return rest, nil
		}
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func noArguments(flags *flag.FlagSet, rest []string, stderr io.Writer) error {
	fmt.Fprintf(stderr, "earshot %s: %q: it takes no arguments besides its flags\n", flags.Name(), rest[0])
	return errUsage
}

// configFlag adds the flag that names the configuration.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", "", "the configuration `FILE` (YAML)")
}

func needsConfig(flags *flag.FlagSet, file string, stderr io.Writer) error {
	if file == "" {
		fmt.Fprintf(stderr, "earshot %s: write -config FILE\n", flags.Name())
		return errUsage
	}
	return nil
}

func versionCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args, stderr); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "earshot %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// release is the version of a build that was made with -ldflags "-X main.release=…".
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// product is by what others know the edge.
func product() string { return "Earshot/" + version() }

func checkCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	file := configFlag(flags)
	probe := flags.Bool("probe", false, "ask the origins too; name playlists by their `PATH` at the edge, or the usual names are tried")
	paths, err := parseAll(flags, args, stderr)
	if err != nil {
		return err
	}
	if len(paths) > 0 && !*probe {
		return noArguments(flags, paths, stderr)
	}
	if err := needsConfig(flags, *file, stderr); err != nil {
		return err
	}
	cfg, err := config.Load(*file)
	if err != nil {
		return err
	}
	if err := checkDoor(cfg); err != nil {
		return err
	}
	for _, notice := range cfg.Notices() {
		fmt.Fprintln(stdout, notice)
	}
	fmt.Fprintf(stdout, "%s: good, %s\n", *file, count(len(cfg.Streams), "stream"))
	if !*probe {
		return nil
	}
	return probeOrigins(ctx, cfg, paths, stdout)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
