// What is wrong with a header, in words that lead to a right one.

package mta

import (
	"fmt"
	"strings"
)

// A ColumnsError is a header that can't be used. Its Hint says what to type.
type ColumnsError struct {
	Path      string   // the file, "" where there is none
	Missing   []string // needed columns that are not there
	Duplicate []string // columns that are there more than once
	Found     []string // what the header has
	Problem   string   // anything else, "" otherwise
}

func (e *ColumnsError) Error() string {
	if e.Path == "" {
		return "mta: " + e.reason()
	}
	return "mta: " + e.Path + ": " + e.reason()
}

// reason is the error without its operand, as a reject says it.
func (e *ColumnsError) reason() string {
	var parts []string
	if e.Problem != "" {
		parts = append(parts, e.Problem)
	}
	if len(e.Missing) > 0 {
		parts = append(parts, "the columns lack "+strings.Join(e.Missing, ", "))
	}
	if len(e.Duplicate) > 0 {
		parts = append(parts, "the columns have more than one "+strings.Join(e.Duplicate, ", "))
	}
	reason := strings.Join(parts, "; ")
	if len(e.Found) > 0 {
		reason += fmt.Sprintf("; found %q", shorten(strings.Join(e.Found, ",")))
	}
	return reason
}

// Hint says what to do about it.
func (e *ColumnsError) Hint() string {
	if len(e.Duplicate) > 0 {
		return "rename the columns that are there twice, or the ones that are not meant"
	}
	return "for a file without a header record, name its columns in their order: " +
		"--columns transit_timestamp,station_complex_id,ridership,..."
}
