package cli

// Results: on stdout, and with --output in a file too.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// A Result is the destination and the format of a command's result.
type Result struct {
	Format  string // one of the formats of the command
	file    string
	formats []string
	given   func() bool // reports whether --format was given
}

// ResultFlags adds --format and --output. The first format is the default.
func (f *Flags) ResultFlags(formats ...string) *Result {
	r := &Result{formats: formats, given: func() bool { return f.Changed("format") }}
	f.StringVar(&r.Format, "format", formats[0], "`FORMAT` of the result: "+strings.Join(formats, ", "))
	f.StringVar(&r.file, "output", "", "also write the result to `FILE`")
	return r
}

// Check returns a usage error for an unknown format, or if --output is a directory.
// Call it before any work.
func (r *Result) Check() error {
	if r.file != "" {
		if info, err := os.Stat(r.file); err == nil && info.IsDir() {
			return Usagef("use a file in it: --output "+filepath.Join(r.file, "result.txt"), "--output %s is a directory", r.file)
		}
	}
	if slices.Contains(r.formats, r.Format) {
		return nil
	}
	return Usagef("use one of: "+strings.Join(r.formats, ", "), "--format is %q", r.Format)
}

// Write calls write for stdout, and for the file of --output. colour reports whether
// the destination shows colour.
func (r *Result) Write(env Env, write func(w io.Writer, colour bool) error) error {
	return r.writeAll(env, r.Format, func(w io.Writer, _ string, colour bool) error { return write(w, colour) })
}

// WriteEach is Write with a format for each destination. Without --format, the file
// of --output FILE.json is JSON and stdout is text.
func (r *Result) WriteEach(env Env, write func(w io.Writer, format string, colour bool) error) error {
	fileFormat := r.Format
	if !r.given() && filepath.Ext(r.file) == ".json" && slices.Contains(r.formats, "json") {
		fileFormat = "json"
	}
	return r.writeAll(env, fileFormat, write)
}

func (r *Result) writeAll(env Env, fileFormat string, write func(w io.Writer, format string, colour bool) error) error {
	if err := SayNewFolder(env, r.file); err != nil {
		return err
	}
	if err := write(env.Stdout, r.Format, Colour(env.Stdout)); err != nil || r.file == "" {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.file), 0o755); err != nil {
		return err
	}
	out, err := os.Create(r.file)
	if err != nil {
		return err
	}
	return errors.Join(write(out, fileFormat, false), out.Close())
}

// NewFolder returns the folder that has to be created for a file, if it is not within
// the working directory; else "". A typing error in a path must not pass unseen.
func NewFolder(file string) string {
	folder := filepath.Dir(file)
	if filepath.IsLocal(folder) {
		return ""
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return folder
}

// SayNewFolder says on stderr which folder will be created for a file.
func SayNewFolder(env Env, file string) error {
	folder := NewFolder(file)
	if folder == "" {
		return nil
	}
	_, err := fmt.Fprintln(env.Stderr, "creating the folder", folder)
	return err
}

// WriteJSON writes v as one indented JSON document.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Progress of long work.

// A Progress shows the progress of long work: on a terminal a bar with rate and
// remaining time, elsewhere periodic log lines. It is safe for concurrent use. Its
// output is throttled.
type Progress struct {
	mu    sync.Mutex // guards the fields below
	bar   *progressbar.ProgressBar
	log   *slog.Logger
	what  string
	total int64
	start time.Time
	next  time.Time
}

// logInterval is the time between two progress log lines. Shorter work logs none.
const logInterval = 5 * time.Second

// NewProgress starts the progress of work on total bytes, -1 if unknown.
func NewProgress(env Env, log *slog.Logger, what string, total int64) *Progress {
	now := time.Now()
	p := &Progress{log: log.With("what", what), what: what, total: total, start: now, next: now.Add(logInterval)}
	if IsTerminal(env.Stderr) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(env.Stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(false), // rows say more, see describe
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
		bars.Add(1)
	}
	return p
}

// Set sets the progress in bytes and in rows.
func (p *Progress) Set(bytes, rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Describe(p.describe(rows, time.Since(p.start)))
		if err := p.bar.Set64(bytes); err != nil {
			p.log.Debug("progress bar", "error", err)
		}
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(logInterval)
	done := "?"
	if p.total > 0 {
		done = fmt.Sprintf("%.0f%%", 100*float64(bytes)/float64(p.total))
	}
	p.log.Info("progress", "done", done, "rows", rows,
		"rows_per_second", int64(float64(rows)/now.Sub(p.start).Seconds()))
}

// describe returns the text before the bar. There is no rate in the first second: it
// would be of the first few rows.
func (p *Progress) describe(rows int64, took time.Duration) string {
	text := p.what + ": " + humanize.Comma(rows) + " rows"
	if took < time.Second {
		return text
	}
	return text + ", " + humanize.Comma(int64(float64(rows)/took.Seconds())) + " rows/s"
}

// Done removes the bar, so that later output starts on an empty line.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	if err := p.bar.Finish(); err != nil {
		p.log.Debug("progress bar", "error", err)
	}
	p.bar = nil
	bars.Add(-1)
}
