package cli

// Flags and log lines of the commands that read CSV files.

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"turnstile/internal/mta"
)

// Delimiter adds --delimiter, the character between the fields of a CSV file. It
// leaves *d at 0 if the flag is not given.
func (f *Flags) Delimiter(d *byte) {
	f.Var((*delimiter)(d), "delimiter", "`CHARACTER` between fields, or tab (default: detected from line 1)")
}

type delimiter byte

func (d *delimiter) Type() string { return "character" }

func (d *delimiter) String() string {
	switch *d {
	case 0:
		return ""
	case '\t':
		return "tab"
	}
	return string(*d)
}

func (d *delimiter) Set(text string) error {
	switch {
	case text == "tab" || text == `\t`:
		*d = '\t'
	case len(text) == 1 && strings.Contains(",;|:\t^~", text):
		*d = delimiter(text[0])
	default:
		return errors.New("want tab or one of , ; | : ^ ~")
	}
	return nil
}

// LogColumns logs a delimiter other than a comma, the columns that are not stored,
// and the columns that the file lacks.
func LogColumns(log *slog.Logger, file *mta.File) {
	if d := file.Delimiter(); d != ',' {
		log.Info("fields are not separated by commas", "source", file.Source(), "delimiter", string(d))
	}
	absent := file.Columns().Absent()
	ignored := slices.DeleteFunc(file.Columns().Ignored(), func(name string) bool {
		want, ok := mta.Nearest(name, absent)
		if ok {
			log.Warn("a column is not stored: is its name misspelt?", "source", file.Source(), "column", name,
				"hint", "did you mean "+want+"? rename it in the header")
		}
		return ok
	})
	if len(ignored) > 0 {
		log.Info("columns that are not stored", "source", file.Source(), "columns", strings.Join(ignored, ", "))
	}
	if len(absent) > 0 {
		log.Info("missing columns are stored as NULL", "source", file.Source(), "columns", strings.Join(absent, ", "))
	}
}
