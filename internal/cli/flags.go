package cli

// Flags, with a short help and a full one (--help-all), and the logger that they
// configure.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"turnstile/internal/mta"
	"turnstile/internal/screen"

	"github.com/lmittmann/tint"
	"github.com/spf13/pflag"
)

// Flags holds the flags of a command. Every command has --help, --help-all,
// --version, --verbose and --log-format.
type Flags struct {
	*pflag.FlagSet
	intro, manual     string
	showHelp, showAll bool
	showVersion       bool
	verbose           bool
	logFormat         string
}

// NewFlags returns the flags of a command. The name is the command and its
// subcommand, as typed. The help prints intro above the list of flags: one
// sentence, the usage line, examples.
func NewFlags(name, intro string) *Flags {
	f := &Flags{FlagSet: pflag.NewFlagSet(name, pflag.ContinueOnError), intro: strings.TrimSpace(intro)}
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

// Manual sets a text that only --help-all shows, below the flags.
func (f *Flags) Manual(text string) { f.manual = strings.TrimSpace(text) }

// Advanced hides flags from --help. --help-all shows them.
func (f *Flags) Advanced(names ...string) {
	for _, n := range names {
		if err := f.MarkHidden(n); err != nil {
			panic(err) // no such flag: a bug in the command
		}
	}
}

// Parse parses the arguments. It returns done after it has printed the help or the
// version: the command has nothing else to do then.
func (f *Flags) Parse(args []string, env Env) (done bool, err error) {
	f.BoolVarP(&f.verbose, "verbose", "v", false, "log debug messages too")
	f.StringVar(&f.logFormat, "log-format", "text", "`FORMAT` of the log on standard error: text or json")
	f.Advanced("log-format")
	f.BoolVarP(&f.showHelp, "help", "h", false, "show this help")
	f.BoolVar(&f.showAll, "help-all", false, "show every flag")
	f.BoolVar(&f.showVersion, "version", false, "show the version")
	if err := f.FlagSet.Parse(args); err != nil {
		return false, f.parseError(err)
	}
	switch {
	case f.showAll:
		return true, f.writeHelp(env.Stdout, true)
	case f.showHelp:
		return true, f.writeHelp(env.Stdout, false)
	case f.showVersion:
		_, err = fmt.Fprintln(env.Stdout, Version())
		return true, err
	case f.logFormat != "text" && f.logFormat != "json":
		return false, Usagef("use --log-format text or --log-format json", "--log-format is %q", f.logFormat)
	}
	given.Store(f)
	return false, nil
}

// given are the flags of this process.
var given atomic.Pointer[Flags]

// sharedFlags are the flags that commands of other names have, too, and mean the same.
var sharedFlags = map[string][]string{
	"db":     {"consumer", "consumer load", "consumer verify", "consumer rejects", "consumer query", "consumer page", "consumer healthcheck"},
	"server": {"consumer", "consumer verify", "consumer page", "producer"},
}

// givenFlags returns the flags of this process that another command needs, too, to
// work on the same database and broker.
func givenFlags(command string) (text string) {
	f := given.Load()
	if f == nil {
		return ""
	}
	for _, name := range []string{"db", "server"} {
		if f.Changed(name) && slices.Contains(sharedFlags[name], command) {
			text += " --" + name + " " + ShellQuote(f.Lookup(name).Value.String())
		}
	}
	return text
}

// ShellQuote returns s as one word of a shell command.
func ShellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(shellSafe, r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=+@%"

// parseError returns the usage error for an error of pflag. Its hint describes the
// flag that has an invalid value.
func (f *Flags) parseError(err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if flag, ok := f.nearest(unknown.GetSpecifiedName()); ok {
			return Usagef("did you mean --"+flag+"?", "%v", err)
		}
	}
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return Usagef(f.Name()+" --help", "%v", err)
	}
	cause := invalid.Unwrap()
	if number, ok := errors.AsType[*strconv.NumError](cause); ok {
		cause = number.Err // omits the name of the strconv function
	}
	if value := invalid.GetValue(); isNumber(value) && (invalid.GetFlag().Value.Type() == "duration" || strings.Contains(cause.Error(), "missing unit in duration")) {
		return Usagef(fmt.Sprintf("add the unit: --%s %sms, or %ss", invalid.GetFlag().Name, value, value), "--%s %s has no unit", invalid.GetFlag().Name, value)
	}
	name, usage := pflag.UnquoteUsage(invalid.GetFlag())
	return Usagef(fmt.Sprintf("--%s %s: %s", invalid.GetFlag().Name, name, usage),
		"--%s %q: %v", invalid.GetFlag().Name, invalid.GetValue(), cause)
}

// nearest returns the flag that a misspelt one probably stands for.
func (f *Flags) nearest(name string) (flag string, ok bool) {
	var names []string
	f.VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	return mta.Nearest(name, names)
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// HelpWidth is the width of the help text in columns. Only a narrower terminal gets
// another.
const HelpWidth = 80

// NoArgs returns a usage error if there are arguments other than flags.
func (f *Flags) NoArgs() error {
	if f.NArg() == 0 {
		return nil
	}
	return Usagef(f.Name()+" --help", "unexpected argument %q", f.Arg(0))
}

// Verbose reports whether -v was given.
func (f *Flags) Verbose() bool { return f.verbose }

// Logger returns a logger for stderr. Its format is coloured text on a terminal,
// key=value elsewhere, and JSON with --log-format json. With -v it logs debug
// messages too.
func (f *Flags) Logger(env Env) *slog.Logger {
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	switch {
	case f.logFormat == "json":
		return slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: readable}))
	case IsTerminal(env.Stderr):
		return slog.New(tint.NewTextHandler(textWriter{env.Stderr}, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !Colour(env.Stderr), ReplaceAttr: forTerminal,
		}))
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: shortenAttr}))
}

// shortenAttr removes the time zone from the time of a line, and rounds durations.
func shortenAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().Format("2006-01-02T15:04:05.000"))
	}
	return readable(groups, a)
}

// readable rounds durations to a tenth of a millisecond, and makes the commands of
// hints typeable.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch {
	case a.Value.Kind() == slog.KindDuration:
		return slog.String(a.Key, a.Value.Duration().Round(100*time.Microsecond).String())
	case a.Key == "hint" && a.Value.Kind() == slog.KindString:
		return slog.String(a.Key, Typeable(a.Value.String()))
	}
	return a
}

// forTerminal is readable, and spares the reader \" in a value: its quotes become single
// ones, unless it has those as well.
func forTerminal(groups []string, a slog.Attr) slog.Attr {
	a = readable(groups, a)
	if len(groups) == 0 && a.Key == slog.MessageKey {
		return a // it is not quoted
	}
	var text string
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	}
	if !strings.Contains(text, `"`) || strings.Contains(text, "'") {
		return a
	}
	return slog.String(a.Key, strings.ReplaceAll(text, `"`, "'"))
}

// exitStatus describes the status of every command.
const exitStatus = "Exit status: 0 done, 1 failed or interrupted before it was done, 2 mistyped, 130 at\na second Ctrl-C.\n"

func (f *Flags) writeHelp(w io.Writer, all bool) error {
	columns := min(HelpWidth, Width(w))
	text := f.helpText(all, columns)
	if columns < HelpWidth {
		text = wrapParagraphs(columns, text)
	}
	return WriteText(w, text)
}

// wrapParagraphs breaks adjacent lines that are not indented anew. One by one, lines of
// [HelpWidth] would become long and short ones in turn.
func wrapParagraphs(columns int, text string) string {
	var b strings.Builder
	var paragraph []string
	end := func() {
		if len(paragraph) > 0 {
			b.WriteString(screen.Wrap(columns, "", "", keepCommands(strings.Join(paragraph, " "))))
		}
		paragraph = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		end()
		b.WriteString(line + "\n")
	}
	end()
	return b.String()
}

// helpText returns the short or the full help, with the flags in so many columns.
func (f *Flags) helpText(all bool, columns int) string {
	hidden := 0
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			hidden++
			flag.Hidden = !all
		}
	})
	var b strings.Builder
	const boolean = "[=true|false]" // pflag prints it after every boolean flag
	usages := strings.ReplaceAll(f.FlagUsagesWrapped(columns), boolean, strings.Repeat(" ", len(boolean)))
	fmt.Fprintf(&b, "%s\n\nFlags:\n%s", f.intro, usages)
	if all {
		if f.manual != "" {
			fmt.Fprintf(&b, "\n%s\n", f.manual)
		}
		b.WriteString("\n" + exitStatus)
	}
	if !all && (hidden > 0 || f.manual != "") {
		fmt.Fprintf(&b, "\nMore: %s\n", Typeable(f.Name()+" --help-all"))
	}
	return b.String()
}

// release is set in the archives that .ci/release makes.
var release string

// Release returns the version of the program: that of a release, or of the commit that
// it was built from, or "unknown".
func Release() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case release != "":
		return release
	case ok:
		return info.Main.Version
	}
	return "unknown"
}

// Version returns the versions of the program, Go, and the main dependencies.
func Version() string {
	version, parts := "turnstile "+Release(), []string{runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, d := range info.Deps {
		switch d.Path {
		case "modernc.org/sqlite", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go":
			parts = append(parts, d.Path+" "+d.Version)
		}
	}
	return version + " (" + strings.Join(parts, ", ") + ")"
}
