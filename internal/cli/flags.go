package cli

// Flags with two lengths of help: what a newcomer needs, and all of it.

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/pflag"
)

// Flags are a command's flags. Every command has --help, --help-all,
// --version and -v.
type Flags struct {
	*pflag.FlagSet
	head, tail string
	help, all  bool
	version    bool
	verbose    bool
	logFormat  string
}

// NewFlags makes the flags of a command. The head stands above the list of
// flags in its help: one sentence, the usage line, examples. The name is the
// command's and its subcommand's, as typed.
func NewFlags(name, head string) *Flags {
	f := &Flags{FlagSet: pflag.NewFlagSet(name, pflag.ContinueOnError), head: strings.TrimSpace(head)}
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

// Manual adds a text that only --help-all shows, below the flags.
func (f *Flags) Manual(text string) { f.tail = strings.TrimSpace(text) }

// Advanced names flags that only --help-all shows.
func (f *Flags) Advanced(names ...string) {
	for _, n := range names {
		if err := f.MarkHidden(n); err != nil {
			panic(err) // a misspelt name in our own code
		}
	}
}

// Parse reads the arguments. It reports done when it has printed the help or
// the version, which is all the command then does.
func (f *Flags) Parse(args []string, env Env) (done bool, err error) {
	f.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
	f.StringVar(&f.logFormat, "log-format", "text", "`FORM` of the log on standard error: text or json")
	f.Advanced("log-format")
	f.BoolVarP(&f.help, "help", "h", false, "show this help")
	f.BoolVar(&f.all, "help-all", false, "show every flag")
	f.BoolVar(&f.version, "version", false, "show the version")
	if err := f.FlagSet.Parse(args); err != nil {
		return false, f.mistyped(err)
	}
	switch {
	case f.all:
		_, err = fmt.Fprint(env.Stdout, f.text(true))
		return true, err
	case f.help:
		_, err = fmt.Fprint(env.Stdout, f.text(false))
		return true, err
	case f.version:
		_, err = fmt.Fprintln(env.Stdout, Version())
		return true, err
	case f.logFormat != "text" && f.logFormat != "json":
		return false, Usagef("use --log-format text or --log-format json", "--log-format is %q", f.logFormat)
	}
	return false, nil
}

// mistyped says what is wrong with an argument, and what it is for.
func (f *Flags) mistyped(err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return Usagef(f.Name()+" --help", "%v", err)
	}
	cause := wrong.Unwrap()
	if number, ok := errors.AsType[*strconv.NumError](cause); ok {
		cause = number.Err // without the name of the function that found it
	}
	name, usage := pflag.UnquoteUsage(wrong.GetFlag())
	return Usagef(fmt.Sprintf("--%s %s: %s", wrong.GetFlag().Name, name, usage),
		"--%s %q: %v", wrong.GetFlag().Name, wrong.GetValue(), cause)
}

// columns is how wide a help is, so that it fits beside other things.
const columns = 100

// NoArgs refuses arguments other than flags.
func (f *Flags) NoArgs() error {
	if f.NArg() == 0 {
		return nil
	}
	return Usagef(f.Name()+" --help", "unexpected argument %q", f.Arg(0))
}

// Verbose reports whether -v was given.
func (f *Flags) Verbose() bool { return f.verbose }

// Logger returns a logger for stderr. Its form is readable text on a terminal,
// key=value elsewhere, JSON with --log-format json. With -v it also logs debug
// messages.
func (f *Flags) Logger(env Env) *slog.Logger {
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	switch {
	case f.logFormat == "json":
		return slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: roundDuration}))
	case Terminal(env.Stderr):
		return slog.New(tint.NewTextHandler(env.Stderr, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !Colour(env.Stderr), ReplaceAttr: roundDuration,
		}))
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: shorten}))
}

// shorten removes the time zone from the time of a line, and rounds durations.
func shorten(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().Format("2006-01-02T15:04:05.000"))
	}
	return roundDuration(groups, a)
}

// roundDuration rounds durations to a tenth of a millisecond.
func roundDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().Round(100*time.Microsecond).String())
	}
	return a
}

func (f *Flags) text(all bool) string {
	hidden := 0
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			hidden++
			flag.Hidden = !all
		}
	})
	var b strings.Builder
	const boolean = "[=true|false]" // true, and in everyone's way
	usages := strings.ReplaceAll(f.FlagUsagesWrapped(columns), boolean, strings.Repeat(" ", len(boolean)))
	fmt.Fprintf(&b, "%s\n\nFlags:\n%s", f.head, usages)
	if all && f.tail != "" {
		fmt.Fprintf(&b, "\n%s\n", f.tail)
	}
	if !all && (hidden > 0 || f.tail != "") {
		fmt.Fprintf(&b, "\nMore: %s --help-all\n", f.Name())
	}
	return b.String()
}

// Version is the program's version with those of what it is built from.
func Version() string {
	version, parts := "turnstile (unknown build)", []string{runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	version = "turnstile " + info.Main.Version
	for _, d := range info.Deps {
		switch d.Path {
		case "modernc.org/sqlite", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go":
			parts = append(parts, d.Path+" "+d.Version)
		}
	}
	return version + " (" + strings.Join(parts, ", ") + ")"
}
