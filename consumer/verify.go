package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
	"turnstile/internal/store"
)

const verifyHelp = `
consumer verify compares CSV files with the database, record by record.

Usage: consumer verify FILE... [flags]

  consumer verify data/sample.csv
  consumer verify --format json 2023.csv.gz 2024.csv.gz

A file is proved if each record is stored once with equal content, or is a
reject with a reason, and nothing else is stored under the file's name. verify
only reads and may run beside a consumer. Exit status 1 if a file is not proved.
`

const verifyManual = `
The JSON document:
  {"ok", "interrupted", "files": [{"file", "source", "records", "stored",
   "rejected", "missing", "first_missing_line", "missing_because",
   "queue_asked", "queued_messages", "differs", "extra", "blank"}],
   "differences": [{"file", "line", "kind", "column", "reason", "in_file",
   "in_db"}]}
records = stored + rejected + missing + differs, without header and blank
records. kind is missing (the record is in the file only), differs (the database
has another row at that line) or extra (the row is in the database only). column is
the first that differs, or "record" if the file's is a reject, with its reason.
differences has the first 10. missing_because is "" if nothing is missing,
queued (messages of the data set are in the queue), "not sent" (nothing is
stored from the first missing line on) or lost (later lines are stored);
queue_asked is false if no broker answered.
`

// maxDifferences is how many differences the result names.
const maxDifferences = 10

type verifyConfig struct {
	files  []string
	db     string
	input  mta.FileOptions
	server *cli.Server // asked for missing rows; nil: is not
	result *cli.Result
}

// A proofReport is the result as JSON.
type proofReport struct {
	OK          bool         `json:"ok"`
	Interrupted bool         `json:"interrupted"`
	Files       []fileProof  `json:"files"`
	Differences []difference `json:"differences"`
}

type fileProof struct {
	File     string `json:"file"`
	Source   string `json:"source"`
	Records  int64  `json:"records"`
	Stored   int64  `json:"stored"`
	Rejected int64  `json:"rejected"`
	Missing  int64  `json:"missing"`
	// Of missing records: the first line, why, and how many messages are queued.
	FirstMissing   int64         `json:"first_missing_line"`
	MissingBecause missingReason `json:"missing_because"`
	QueueAsked     bool          `json:"queue_asked"`
	Queued         uint64        `json:"queued_messages"`
	Differs        int64         `json:"differs"`
	Extra          int64         `json:"extra"`
	Blank          int64         `json:"blank"`
}

func (p fileProof) ok() bool { return p.Missing == 0 && p.Differs == 0 && p.Extra == 0 }

type difference struct {
	File   string  `json:"file"`
	Line   int64   `json:"line"`
	Kind   string  `json:"kind"`
	Column string  `json:"column"`
	Reason string  `json:"reason"`
	InFile *string `json:"in_file"`
	InDB   *string `json:"in_db"`
}

func verify(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("consumer verify", verifyHelp)
	f.Manual(verifyManual)
	c := verifyConfig{}
	f.StringVar(&c.db, "db", defaultDatabase, "the database `FILE`")
	c.result = f.ResultFlags("text", "json")
	c.server = f.ServerFlags()
	inputFlags(f, &c.input)
	f.Advanced("columns", "delimiter", "from-line", "server")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	c.files = f.Args()
	if err := errors.Join(c.result.Check(), checkFiles(c.files, c.input)); err != nil {
		return err
	}
	proof, err := prove(ctx, c, env, f.Logger(env))
	if err != nil && !proof.Interrupted {
		return err
	}
	if !proof.OK && err == nil {
		err = proofError(proof)
	}
	return errors.Join(c.result.Write(env, func(w io.Writer, _ bool) error {
		if c.result.Format == "json" {
			return cli.WriteJSON(w, proof)
		}
		return writeProof(w, c.db, proof)
	}), err)
}

// proofError adds a hint to the failure. The result itself describes it.
func proofError(p proofReport) error {
	hint := ""
	for _, f := range p.Files {
		switch {
		case f.Missing > 0:
			return cli.WithHint(cli.ErrFailed, missingHint(f))
		case f.Differs > 0 && p.onlyRejects(f):
			hint = "correct the line in the file: the database has a row for it"
		case f.Differs > 0:
			hint = "if this file is another data set than the stored one, name it: --source NAME; if it is a new version and was sent: consumer rejects --accept " + cli.ShellQuote(f.Source)
		case f.Extra > 0:
			hint = "if this file is another data set than the stored one, name it: --source NAME"
		}
	}
	return cli.WithHint(cli.ErrFailed, hint)
}

// onlyRejects reports whether all lines of a file that differ are rejects there, in
// place of stored rows.
func (p proofReport) onlyRejects(f fileProof) bool {
	n := int64(0)
	for _, d := range p.Differences {
		if d.File == f.File && d.Reason != "" {
			n++
		}
	}
	return n == f.Differs
}

// unequalLines counts the lines on which files and database disagree.
func (p proofReport) unequalLines() (n int64) {
	for _, f := range p.Files {
		n += f.Missing + f.Differs + f.Extra
	}
	return n
}

// prove compares the files one after the other.
func prove(ctx context.Context, c verifyConfig, env cli.Env, log *slog.Logger) (proofReport, error) {
	report := proofReport{OK: true, Files: []fileProof{}, Differences: []difference{}}
	db, err := store.OpenReader(ctx, c.db)
	if err != nil {
		return report, err
	}
	for _, name := range c.files {
		proof, differences, verifyErr := proveFile(ctx, c, name, db, env, log)
		if ctx.Err() != nil {
			report.OK, report.Interrupted = false, true
			err = fmt.Errorf("%w in %s", cli.ErrInterrupted, name)
			break
		}
		if err = verifyErr; err != nil {
			break
		}
		report.OK = report.OK && proof.ok()
		report.Files = append(report.Files, proof)
		room := maxDifferences - len(report.Differences)
		report.Differences = append(report.Differences, differences[:min(room, len(differences))]...)
	}
	if err == nil && c.server != nil {
		err = explainMissing(ctx, report.Files, db, c.server)
	}
	return report, errors.Join(err, db.Close())
}

func proveFile(ctx context.Context, c verifyConfig, name string, db *store.Reader, env cli.Env, log *slog.Logger) (fileProof, []difference, error) {
	file, err := mta.OpenFile(ctx, name, env.Stdin, c.input)
	if err != nil {
		return fileProof{}, nil, err
	}
	defer file.Close()
	bar := cli.NewProgress(env, log, "verify "+file.Source(), file.Size())
	defer bar.Done()

	batches := startParsing(ctx, file)
	defer batches.stop()
	v, err := db.Verify(ctx, file.Source(), c.input.FromLine, func() (*mta.Batch, error) {
		b, err := batches.next()
		bar.Set(file.Offset(), batches.rows)
		return b, err
	})
	if err != nil {
		return fileProof{}, nil, fmt.Errorf("verify %s: %w", name, err)
	}
	proof := fileProof{
		File: filepath.ToSlash(name), Source: file.Source(), Records: v.Records, Stored: v.Stored, Rejected: v.Rejected,
		Missing: v.Missing, FirstMissing: v.FirstMissing, Differs: v.Differs, Extra: v.Extra, Blank: batches.blank,
	}
	var differences []difference
	for _, d := range v.Differences {
		differences = append(differences, difference{proof.File, d.Line, d.Kind, d.Column, d.Reason, d.InFile, d.InDB})
	}
	return proof, differences, nil
}

// writeProof writes the text form of a proof.
func writeProof(w io.Writer, db string, p proofReport) error {
	var lines []byte
	for _, f := range p.Files {
		word := "ok  "
		if !f.ok() {
			word = "FAIL"
		}
		lines = fmt.Appendf(lines, "%s %s: %s = %s stored + %s rejected + %s missing + %s different; %s extra, %s blank\n",
			word, f.Source, countOf(f.Records, "record"), formatCount(f.Stored), formatCount(f.Rejected), formatCount(f.Missing), formatCount(f.Differs), formatCount(f.Extra), formatCount(f.Blank))
	}
	for _, f := range p.Files {
		lines = append(lines, describeMissing(f)...)
	}
	for run := p.Differences; len(run) > 0; {
		n := sameInARow(run)
		lines = append(lines, describe(run[0], run[n-1].Line, len(p.Files) > 1)...)
		run = run[n:]
	}
	if more := p.unequalLines() - int64(len(p.Differences)); more > 0 {
		lines = fmt.Appendf(lines, "     and %s\n", countOf(more, "more line"))
	}
	switch {
	case p.OK:
		lines = fmt.Appendf(lines, "proved: each record is in %s once, or rejected with a reason\n", db)
	case p.Interrupted:
		lines = append(lines, "interrupted: nothing is proved\n"...)
	default:
		lines = fmt.Appendf(lines, "NOT proved: %s and the files differ\n", db)
	}
	return cli.WriteText(w, string(lines))
}

// sameInARow returns how many of the first differences can be told as one: rows of
// consecutive lines that are missing, or extra.
func sameInARow(list []difference) int {
	n := 1
	for n < len(list) && list[0].Kind != "differs" && list[n].Kind == list[0].Kind && list[n].File == list[0].File && list[n].Line == list[n-1].Line+1 {
		n++
	}
	return n
}

// describe tells a difference, or several of the same kind up to a last line, and with
// several files which one has it.
func describe(d difference, last int64, several bool) string {
	lines, are := fmt.Sprintf("line %d", d.Line), "is"
	if last > d.Line {
		lines, are = fmt.Sprintf("lines %d-%d", d.Line, last), "are"
	}
	if several {
		lines = d.File + ", " + lines
	}
	switch {
	case d.Reason != "":
		return fmt.Sprintf("     %s: a row in the database, a reject in the file: %s\n", lines, d.Reason)
	case d.Kind == "differs":
		return fmt.Sprintf("     %s: %s is %s in the file, %s in the database\n", lines, d.Column, optional(d.InFile), optional(d.InDB))
	case d.Kind == "missing":
		return fmt.Sprintf("     %s %s missing in the database\n", lines, are)
	default:
		return fmt.Sprintf("     %s %s in the database, not in the file\n", lines, are)
	}
}
