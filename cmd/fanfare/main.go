// Command fanfare is the gateway and its tools in one binary.
//
//	fanfare [serve]   run a gateway
//	fanfare config    check a configuration and print what is in effect
//	fanfare health    ask an instance on this machine whether it works
//	fanfare bench     put load on a gateway and report what it does
//	fanfare token     mint a token for development
//	fanfare publish   publish one message through a gateway's API
//	fanfare tail      print what is published to rooms
//	fanfare version   print the version
//
// Each says more with --help.
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
	"strings"
	"syscall"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = ""

const usage = `fanfare is a WebSocket broadcast gateway.

  fanfare [serve]   run a gateway: with no flags alone, with --redis as one of many
  fanfare config    check a configuration and print what is in effect
  fanfare health    ask an instance on this machine whether it works
  fanfare bench     put load on a gateway and report what it does
  fanfare token     mint a token for development
  fanfare publish   publish one message through a gateway's API
  fanfare tail      print what is published to rooms
  fanfare version   print the version

Each says more with --help.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "fanfare:", err)
		os.Exit(1)
	}
}

// run carries out a command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	switch name {
	case "serve":
		return serve(ctx, args, stdout, stderr)
	case "config":
		return showConfig(args, stdout, stderr)
	case "health":
		return health(ctx, args, stdout)
	case "bench":
		return bench.Command(ctx, args, stdout, stderr)
	case "token":
		return token(args, stdout)
	case "publish":
		return publish(ctx, args, stdout)
	case "tail":
		return tail(ctx, args, stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, "fanfare", buildVersion(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
		return nil
	case "help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	return fmt.Errorf("unknown command %q\n\n%s", name, usage)
}

// buildVersion is what the build set, else the module's version.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
