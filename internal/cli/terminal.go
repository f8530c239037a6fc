package cli

// What fits a terminal: its width, its colours, and text in lines as wide as it is.

import (
	"io"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"turnstile/internal/screen"
)

// IsTerminal reports whether w is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns the columns of the terminal w, or 80.
func Width(w any) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// Colour reports whether to write colour to w: w is a terminal and NO_COLOR is not
// set (no-color.org).
func Colour(w io.Writer) bool { return IsTerminal(w) && os.Getenv("NO_COLOR") == "" }

// WriteText writes lines of text. On a terminal a line that does not fit is broken
// between words, and goes on below, two columns deeper. Elsewhere, in a file or a
// pipe, lines stay as they are.
func WriteText(w io.Writer, text string) error {
	if IsTerminal(w) {
		text = wrapLines(Width(w), text)
	}
	_, err := io.WriteString(w, text)
	return err
}

// minText is the least width of text behind an indent.
const minText = 24

func wrapLines(columns int, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		words := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(words)]
		if columns-len(indent) < minText {
			indent = "    "
		}
		b.WriteString(screen.Wrap(columns, indent, indent+"  ", keepCommands(words)))
	}
	return b.String()
}

// keepCommands makes commands of turnstile stay on one line.
func keepCommands(s string) string {
	return commands.ReplaceAllStringFunc(s, func(command string) string {
		return command[:1] + strings.ReplaceAll(command[1:], " ", screen.Space)
	})
}

// bars counts the progress bars on the terminal.
var bars atomic.Int32

// A textWriter writes to a terminal with [WriteText]. Each Write has whole lines. They
// take the place of a progress bar, which is drawn again below.
type textWriter struct{ io.Writer }

func (w textWriter) Write(lines []byte) (int, error) {
	if bars.Load() > 0 {
		if _, err := io.WriteString(w.Writer, "\r\x1b[K"); err != nil {
			return 0, err
		}
	}
	return len(lines), WriteText(w.Writer, string(lines))
}
