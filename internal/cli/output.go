package cli

// Results: on stdout, and with --output in a file as well.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A Result is where a command's result goes, and in which form.
type Result struct {
	Format string // one of the command's formats
	file   string
	usable []string
	given  func() bool // --format was typed
}

// ResultFlags adds --format and --output. The first format is the default.
func (f *Flags) ResultFlags(formats ...string) *Result {
	r := &Result{usable: formats, given: func() bool { return f.Changed("format") }}
	f.StringVar(&r.Format, "format", formats[0], "`FORM` of the result: "+strings.Join(formats, ", "))
	f.StringVar(&r.file, "output", "", "write the result to `FILE` as well")
	return r
}

// Check refuses a format the command does not have, or a place that is no
// file, before any work.
func (r *Result) Check() error {
	if r.file != "" {
		if info, err := os.Stat(r.file); err == nil && info.IsDir() {
			return Usagef("a file in it: --output "+filepath.Join(r.file, "result.txt"), "--output %s is a folder", r.file)
		}
	}
	if slices.Contains(r.usable, r.Format) {
		return nil
	}
	return Usagef("one of "+strings.Join(r.usable, ", "), "--format is %q", r.Format)
}

// Write writes the result. The function is called once for each place, and
// told whether that place shows colour.
func (r *Result) Write(env Env, write func(w io.Writer, colour bool) error) error {
	return r.writePlaces(env, r.Format, func(w io.Writer, _ string, colour bool) error { return write(w, colour) })
}

// WriteEach is Write for a result that is kept: --output FILE.json is JSON, and
// stdout has the text, unless --format is given.
func (r *Result) WriteEach(env Env, write func(w io.Writer, format string, colour bool) error) error {
	kept := r.Format
	if !r.given() && filepath.Ext(r.file) == ".json" && slices.Contains(r.usable, "json") {
		kept = "json"
	}
	return r.writePlaces(env, kept, write)
}

func (r *Result) writePlaces(env Env, kept string, write func(w io.Writer, format string, colour bool) error) error {
	if err := write(env.Stdout, r.Format, Colour(env.Stdout)); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if r.file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(r.file), 0o755); err != nil {
		return err
	}
	out, err := os.Create(r.file)
	if err != nil {
		return err
	}
	return errors.Join(write(out, kept, false), out.Close())
}

// WriteJSON writes one indented document.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Terminal says whether a person is likely to be looking at w.
func Terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colour says whether w shows colour: a terminal, unless NO_COLOR is set
// (no-color.org).
func Colour(w io.Writer) bool { return Terminal(w) && os.Getenv("NO_COLOR") == "" }

// Progress of long work: a bar with rate and time left on a terminal, a log
// line now and then elsewhere.

// A Progress shows how far long work has come. Its methods may be called from
// any goroutine, as often as one likes: it draws a few times a second.
type Progress struct {
	mu    sync.Mutex // guards all below
	bar   *progressbar.ProgressBar
	log   *slog.Logger
	total int64
	start time.Time
	next  time.Time
}

// everyLog is how often a log line says how far it is: the work that ends
// sooner says nothing.
const everyLog = 5 * time.Second

// NewProgress starts a progress of total bytes (-1: not known).
func NewProgress(env Env, log *slog.Logger, what string, total int64) *Progress {
	now := time.Now()
	p := &Progress{log: log.With("what", what), total: total, start: now, next: now.Add(everyLog)}
	if Terminal(env.Stderr) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(env.Stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// Set says how many bytes are done, and how many rows that is.
func (p *Progress) Set(bytes, rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		if err := p.bar.Set64(bytes); err != nil {
			p.log.Debug("progress bar", "error", err)
		}
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(everyLog)
	done := "?"
	if p.total > 0 {
		done = fmt.Sprintf("%.0f%%", 100*float64(bytes)/float64(p.total))
	}
	p.log.Info("progress", "done", done, "rows", rows,
		"rows_per_second", int64(float64(rows)/now.Sub(p.start).Seconds()))
}

// Done takes the bar away, so that what is printed next stands alone.
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
}
