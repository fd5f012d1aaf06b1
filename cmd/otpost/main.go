// Otpost is a self-hosted gateway for SMS one-time codes: one daemon drives GSM/LTE modems over serial AT commands and gives
// a portal's backend a local HTTP API to enable, verify and disable SMS security codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"otpost/cmd/otpost/operate"
)

// The exit codes, documented in the help.
const (
	exitOK    = 0
	exitError = 1 // what was asked for did not work; standard error says why
	exitUsage = 2 // the command line was wrong; nothing was done

	exitConfig = 78 // EX_CONFIG of sysexits.h: the configuration is wrong, and systemd should not try again
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run parses args, runs the command they name, and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var cli commands
	code := -1
	parser, err := kong.New(&cli,
		kong.Name("otpost"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the commands' own declaration is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if code >= 0 { // help was asked for and given
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "otpost: %v\n", err)
		fmt.Fprintf(stderr, "otpost --help lists the commands, and --help behind a command says what it takes\n")
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(&console{out: stdout, err: stderr}, operate.NewConsole(os.Stdin, stdout, stderr, version()))
	if err != nil {
		fmt.Fprintf(stderr, "otpost: %v\n", err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var (
		usage operate.UsageError
		wrong *operate.ConfigError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &wrong):
		return exitConfig
	}
	return exitError
}

// console is where a command writes: out for what was asked for, err for everything else.
type console struct{ out, err io.Writer }

const description = `Self-hosted gateway for SMS one-time codes.

    Try it:            otpost demo
    Run it:            otpost serve --config /etc/otpost/otpost.yaml
    Make an API key:   otpost key create --name portal --scope portal
    Something wrong?   otpost doctor

Exit codes: 0 it worked, 1 it did not (standard error says why), 2 the command line was wrong, 78 the configuration is wrong.`
