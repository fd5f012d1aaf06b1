package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"otpost": main, "call": call})
}

// TestScripts runs the operator's stories in testdata/script: each reads like the manual. In them, call makes one request
// to $BASE with $KEY and prints status and body, pick takes a member of what call printed into a variable, and
// $PORT0 to $PORT3 are free ports.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			for i := range 4 {
				port, err := freePort()
				if err != nil {
					return err
				}
				env.Setenv(fmt.Sprintf("PORT%d", i), port)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"pick": pick, "private": private, "expand": expand},
	})
}

// freePort returns a port that nobody listened on a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// pick VAR member.of.members sets VAR from the JSON that the last exec printed; an index picks from a list.
func pick(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pick VAR path.of.members")
	}
	out := ts.ReadFile("stdout")
	if i := strings.IndexAny(out, "{["); i > 0 {
		out = out[i:]
	}
	var v any
	ts.Check(json.Unmarshal([]byte(out), &v))
	for _, step := range strings.Split(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			var i int
			_, err := fmt.Sscan(step, &i)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("no element %d in %s", i, out)
			}
			v = at[i]
		default:
			ts.Fatalf("no member %q in %s", step, out)
		}
	}
	if v == nil {
		ts.Fatalf("no member %q in %s", args[1], out)
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// expand FILE… puts the values of $VARIABLES into files.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// private FILE… makes files readable by their owner only.
func private(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ts.Check(os.Chmod(ts.MkAbs(name), 0o600))
	}
}
