package cli

// Hints for errors of input files.

import (
	"fmt"

	"turnstile/internal/mta"
)

// FileHint returns the hint for an error of a CSV file, or "". It names the
// flags --source, --columns and --delimiter of the commands that read files.
func FileHint(err error) string {
	switch e := err.(type) {
	case *mta.ColumnsError:
		if len(e.Duplicate) > 0 {
			return "rename the columns that occur twice, or the ones that are not meant"
		}
		if found, want, ok := e.Misspelt(); ok {
			return fmt.Sprintf("did you mean %s? Rename the column %q in the header", want, found)
		}
		if e.NoHeader() {
			return "line 1 looks like a row, not a header: name the columns in their order with " + columnsExample
		}
		if e.OtherDelimiter() {
			return "if the columns are not separated by commas, name the character: --delimiter ';' or --delimiter tab"
		}
		return "for a file without a header record, name its columns in their order: " + columnsExample
	case *mta.FileError:
		switch e.Kind {
		case mta.BadSource:
			return "give the data set a name with --source NAME"
		case mta.IsFolder:
			return "name the CSV files in it"
		case mta.IsEmpty:
			return "the file must have a header record, then rows"
		case mta.IsUTF16:
			return "convert it: iconv -f UTF-16 -t UTF-8 FILE"
		case mta.IsArchive:
			return "save it as CSV, or unpack it"
		}
	}
	return ""
}

const columnsExample = "--columns transit_timestamp,station_complex_id,ridership,..."
