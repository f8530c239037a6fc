package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A table stays small, and can't control the terminal, whatever the values and the names
// of the columns are.
func TestTableOfOddValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	if status, _, stderr := try(t.Context(), load, strings.NewReader(rows), "--db", path, "--source", "piped", "-"); status != 0 {
		t.Fatal(stderr)
	}
	const many = `WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 100) SELECT printf('%960000s', value) AS record, char(27) AS "esc", value AS "a` + "\x1b[31m\nb" + `" FROM n`
	status, stdout, stderr := try(t.Context(), query, nil, "--db", path, many)
	if status != 0 {
		t.Fatal(stderr)
	}
	if len(stdout) > 1<<20 || !strings.Contains(stdout, "… is where a value was cut to fit") {
		t.Errorf("the table has %d bytes, and its end is %s", len(stdout), stdout[max(0, len(stdout)-100):])
	}
	if strings.Contains(stdout, "\x1b") || strings.Count(stdout, "\n") != 100+5 {
		t.Errorf("the table has an escape sequence, or %d lines, want 105:\n%.3000s", strings.Count(stdout, "\n"), stdout)
	}
}
