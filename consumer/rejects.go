package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"

	"turnstile/internal/cli"
	"turnstile/internal/store"
)

const rejectsHelp = `
consumer rejects lists the rows that could not be stored, each with its line and
reason.

Usage: consumer rejects [flags]

  consumer rejects                       all of them
  consumer rejects --source sample.csv   those of one file
  consumer rejects --csv > bad.csv       the raw records under their header
  consumer rejects --accept rides.csv    store the rows that differ, in place of
                                         the old ones
  consumer rejects --discard rides.csv   keep the old rows, delete the rejects
                                         that differ

To resolve rejects, correct the lines in the file, in place, and send the file
again under its name. The corrected rows are stored, their rejects are deleted,
and no row is stored twice.

A row that differs from the stored one can be accepted or discarded, all of a
data set (SOURCE) or one (SOURCE:LINE); '(foreign)' can be discarded. Stop the
consumer first: the rows wait in the queue.
`

const rejectsManual = `
The JSON document:
  {"rejects": [{"source", "line", "last_line", "column", "reason", "record",
   "rejected_at"}]}
With --accept {"replaced": ROWS}, with --discard {"discarded": REJECTS}.
Equal records of consecutive lines are one entry, from line to last_line.
`

func rejects(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("consumer rejects", rejectsHelp)
	f.Manual(rejectsManual)
	db := f.String("db", defaultDatabase, "the database `FILE`")
	source := f.String("source", "", "only rejects of the data set `NAME`")
	raw := f.Bool("csv", false, "the raw records under their header")
	accept := f.String("accept", "", "replace stored rows by the rows of `SOURCE[:LINE]` that differ from them")
	discard := f.String("discard", "", "delete the rejects of `SOURCE[:LINE]` that differ from stored rows")
	result := f.ResultFlags("text", "json")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := errors.Join(f.NoArgs(), result.Check()); err != nil {
		return err
	}
	if *accept != "" || *discard != "" {
		if *accept != "" && *discard != "" || *raw || *source != "" {
			return cli.Usagef("use one of them alone", "--accept and --discard do not list rejects")
		}
		d, err := decide(ctx, *db, *accept, *discard, f.Logger(env))
		if err != nil {
			return err
		}
		return result.Write(env, func(w io.Writer, _ bool) error { return d.write(w, result.Format) })
	}
	r, err := store.OpenReader(ctx, *db)
	if err != nil {
		return err
	}
	if *source != "" {
		if err := r.CheckSource(ctx, *source); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	return errors.Join(result.Write(env, func(w io.Writer, _ bool) error {
		switch {
		case *raw:
			return buffered(w, func(w io.Writer) error { return listCSV(ctx, r, *source, w) })
		case result.Format == "json":
			return buffered(w, func(w io.Writer) error { return listJSON(ctx, r, *source, w) })
		}
		return listText(ctx, r, *source, w)
	}), r.Close())
}

// optional quotes a value that may be NULL, and shortens a long one.
func optional(value *string) string {
	if value == nil {
		return "NULL"
	}
	return strconv.Quote(shorten(*value, len(*value)))
}

// shorten returns the beginning of a long text, and how many bytes it stands for.
func shorten(text string, bytes int) string {
	const maxRunes = 160
	if runes := []rune(text); len(runes) > maxRunes {
		return fmt.Sprintf("%s... (%s bytes)", string(runes[:maxRunes]), formatCount(int64(bytes)))
	}
	return text
}

// buffered calls write with a buffer in front of w. Of several errors it returns the
// first alone: after a failed write, Flush repeats its error.
func buffered(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriter(w)
	err := write(b)
	if failed := b.Flush(); err == nil {
		return failed
	}
	return err
}

// textBuffer is how much text is written at once.
const textBuffer = 16 << 10

func listText(ctx context.Context, r *store.Reader, source string, w io.Writer) error {
	n, differ := int64(0), false
	var text strings.Builder
	err := r.Rejects(ctx, source, func(x store.Reject) error {
		n += x.Last - x.Line + 1
		lines := fmt.Sprint(x.Line)
		if x.Last > x.Line {
			lines = fmt.Sprintf("%d-%d", x.Line, x.Last)
		}
		reason := x.Reason
		if d := x.Differs; d != nil {
			differ = true
			reason += fmt.Sprintf(": %s is %s here, %s there", d.Column, optional(d.InFile), optional(d.InDB))
		}
		fmt.Fprintf(&text, "%s:%s: %s\n    %s\n", x.Source, lines, reason, printable(x.Record))
		if text.Len() < textBuffer {
			return nil
		}
		defer text.Reset()
		return cli.WriteText(w, text.String())
	})
	if err != nil {
		return errors.Join(cli.WriteText(w, text.String()), err)
	}
	if n == 0 {
		text.WriteString("no rejects\n")
	} else {
		text.WriteString(countOf(n, "reject") + "\n")
	}
	if differ {
		text.WriteString(cli.Typeable("to take rows that differ: consumer rejects --accept SOURCE[:LINE]; to keep the stored ones: --discard SOURCE[:LINE]\n"))
	}
	return cli.WriteText(w, text.String())
}

// A decision is what --accept or --discard has done.
type decision struct {
	Replaced  *int64 `json:"replaced,omitempty"`
	Discarded *int64 `json:"discarded,omitempty"`
}

func (d decision) write(w io.Writer, format string) error {
	switch {
	case format == "json":
		return cli.WriteJSON(w, d)
	case d.Replaced != nil:
		return cli.WriteText(w, countOf(*d.Replaced, "row")+" replaced\n")
	}
	return cli.WriteText(w, countOf(*d.Discarded, "reject")+" discarded\n")
}

// decide accepts or discards rejects.
func decide(ctx context.Context, path, accept, discard string, log *slog.Logger) (d decision, err error) {
	which := parseRejected(accept + discard) // one of them is empty
	// openWriter would create the database, and wait for the consumer to end.
	r, err := store.OpenReader(ctx, path)
	if err != nil {
		return d, err
	}
	if err := errors.Join(r.CheckSource(ctx, which.Source), r.Close()); err != nil {
		return d, err
	}
	db, err := openWriterNow(ctx, path, log)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if accept != "" {
		n, err := db.Accept(ctx, which)
		return decision{Replaced: &n}, err
	}
	n, err := db.Discard(ctx, which)
	return decision{Discarded: &n}, err
}

// parseRejected splits SOURCE:LINE. A colon without a number belongs to the source.
func parseRejected(s string) store.Rejected {
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		if line, err := strconv.ParseInt(s[i+1:], 10, 64); err == nil && line > 0 {
			return store.Rejected{Source: s[:i], Line: line}
		}
	}
	return store.Rejected{Source: s}
}

func countOf(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return formatCount(n) + " " + noun + "s"
}

// printable returns a record as one line of at most 160 characters. It escapes what
// could control the terminal of the user, also the C1 controls.
func printable(record []byte) string {
	text := strings.TrimRight(string(record), "\r\n")
	clean := text
	if strings.ContainsFunc(text, func(r rune) bool { return r == '\uFFFD' || !unicode.IsPrint(r) }) {
		clean = fmt.Sprintf("%q", text)
	}
	return shorten(clean, len(record))
}

type jsonReject struct {
	Source     string `json:"source"`
	Line       int64  `json:"line"`
	LastLine   int64  `json:"last_line"`
	Column     string `json:"column"`
	Reason     string `json:"reason"`
	Record     string `json:"record"`
	RejectedAt string `json:"rejected_at"`
}

// listJSON writes one document, reject by reject: all of them may not fit the
// memory.
func listJSON(ctx context.Context, r *store.Reader, source string, w io.Writer) error {
	separator := "\n"
	if _, err := io.WriteString(w, "{\n  \"rejects\": ["); err != nil {
		return err
	}
	err := r.Rejects(ctx, source, func(x store.Reject) error {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("    ", "  ")
		if err := encoder.Encode(jsonReject{x.Source, x.Line, x.Last, x.Column, x.Reason, string(x.Record), x.RejectedAt}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "%s    %s", separator, bytes.TrimRight(text.Bytes(), "\n"))
		separator = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	if separator == "\n" { // none
		_, err = io.WriteString(w, "]\n}\n")
	} else {
		_, err = io.WriteString(w, "\n  ]\n}\n")
	}
	return err
}

// listCSV writes the raw records. It fails if their sources have different
// columns, because a CSV file has one header.
func listCSV(ctx context.Context, r *store.Reader, source string, w io.Writer) error {
	header, owner := "", ""
	return r.Rejects(ctx, source, func(x store.Reject) error {
		switch {
		case x.Columns == "":
			return nil // a malformed message has no columns; the text and JSON forms list it
		case owner == "":
			owner, header = x.Source, x.Columns
			if _, err := fmt.Fprintln(w, header); err != nil {
				return err
			}
		case x.Columns != header:
			return cli.WithHint(fmt.Errorf("%s and %s have different columns", owner, x.Source),
				"list one source at a time: --source "+owner)
		}
		record := strings.TrimRight(string(x.Record), "\r\n")
		for range x.Last - x.Line + 1 {
			if _, err := fmt.Fprintln(w, record); err != nil {
				return err
			}
		}
		return nil
	})
}
