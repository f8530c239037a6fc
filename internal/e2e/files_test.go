package e2e

// The script commands that make files which a text archive cannot hold.

import (
	"compress/gzip"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

func appendText(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) < 2 || len(args) > 3, "append FILE TEXT [N]")
	// Quotes are for Go's escapes alone: in a script they stand for themselves.
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
	ts.Check(err)
	if len(args) == 3 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		text = strings.Repeat(text, n)
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	_, err = f.WriteString(text)
	ts.Check(errors.Join(err, f.Close()))
}

func setLine(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 3, "setline FILE N TEXT")
	lines := strings.SplitAfter(ts.ReadFile(args[0]), "\n")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	if n < 1 || n > len(lines) {
		ts.Fatalf("%s has %d lines, no line %d", args[0], len(lines), n)
	}
	old := lines[n-1]
	lines[n-1] = args[2] + old[len(strings.TrimRight(old, "\r\n")):]
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "")), 0o644))
}

func compress(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 1, "gzip FILE")
	f, err := os.Create(ts.MkAbs(args[0]) + ".gz")
	ts.Check(err)
	z := gzip.NewWriter(f)
	_, err = z.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(errors.Join(err, z.Close(), f.Close()))
}
