package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A QueryError reports that SQLite refused a statement or failed in the middle of
// it.
type QueryError struct {
	Err      error
	ReadOnly bool // the statement would have changed the database or a setting, or returns no columns
	Pragma   bool // it is a PRAGMA
	Several  bool // there is more than one statement
	Unknown  bool // it names a table or column that does not exist
}

func (e *QueryError) Error() string {
	text, ok := strings.CutPrefix(e.Err.Error(), "SQL logic error: ") // no such table: rides (1)
	if ok {
		text = strings.TrimSuffix(text, " (1)")
	}
	return "query: " + text
}

func (e *QueryError) Unwrap() error { return e.Err }

func queryError(err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); strings.Contains(text, "too many attached databases") || strings.Contains(text, "cannot VACUUM") {
		return &QueryError{Err: errors.New("no other database can be attached or written"), ReadOnly: true}
	}
	return &QueryError{
		Err: err, ReadOnly: primaryCode(err) == sqlite3.SQLITE_READONLY,
		Unknown: strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "no such column"),
	}
}

// Query runs one SQL statement that reads. It calls head with the names of the
// columns, and then each for every row, whose values are nil, int64, float64, string
// or []byte. The slice is valid during the call. Other files can be neither attached
// nor written. Errors of SQLite are [*QueryError]; those of head and each are
// returned as they are.
//
// The query is one read transaction. As long as it runs, no checkpoint passes it.
func (r *Reader) Query(ctx context.Context, query string, head func(columns []string) error, each func(row []any) error) (err error) {
	plain := plainSQL(query)
	switch {
	case hasSeveralStatements(plain):
		return &QueryError{Err: errors.New("there is more than one statement"), Several: true}
	case isPragma.MatchString(plain):
		// Some write or lock although the database is open for reading, as
		// wal_checkpoint. Those that only read are tables as well.
		return &QueryError{Err: errors.New("a PRAGMA can do more than read"), Pragma: true}
	}
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// ATTACH and VACUUM INTO could create files. Both count as attached databases.
	if _, err := sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_ATTACHED, 0); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	rows, err := queryAsStored(ctx, conn, query[:len(strings.TrimRight(plain, "; \t\r\n\f"))])
	if err != nil {
		return queryError(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return eachRow(rows, head, each)
}

// queryAsStored runs a query whose values are as they are stored. The driver makes a time
// of the text in columns of some declared types. An expression has no declared type.
func queryAsStored(ctx context.Context, conn *sql.Conn, query string) (*sql.Rows, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	types, err := rows.ColumnTypes()
	if err == nil && !slices.ContainsFunc(types, isConverted) {
		return rows, nil
	}
	if err := errors.Join(err, rows.Close()); err != nil {
		return nil, err
	}
	var names, columns []string
	for i, t := range types {
		names = append(names, fmt.Sprint("c", i))
		columns = append(columns, fmt.Sprintf(`+c%d AS "%s"`, i, strings.ReplaceAll(t.Name(), `"`, `""`)))
	}
	return conn.QueryContext(ctx, fmt.Sprintf("WITH q (%s) AS (%s\n) SELECT %s FROM q", strings.Join(names, ", "), query, strings.Join(columns, ", ")))
}

func isConverted(t *sql.ColumnType) bool {
	return slices.Contains([]string{"DATE", "DATETIME", "TIMESTAMP"}, t.DatabaseTypeName())
}

func eachRow(rows *sql.Rows, head func([]string) error, each func([]any) error) error {
	columns, err := rows.Columns()
	if err != nil {
		return queryError(err)
	}
	if len(columns) == 0 {
		return &QueryError{Err: errors.New("the statement returns no columns"), ReadOnly: true}
	}
	if err := head(columns); err != nil {
		return err
	}
	values, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return queryError(err)
		}
		if err := each(values); err != nil {
			return err
		}
	}
	return queryError(rows.Err())
}

// sqlTokens matches what may hold a semicolon that ends no statement, or is no part of
// a statement: strings and names in quotes, and comments.
var sqlTokens = regexp.MustCompile("'[^']*'|\"[^\"]*\"|`[^`]*`|\\[[^\\]]*\\]|--[^\\n]*|(?s:/\\*.*?(?:\\*/|$))")

var isPragma = regexp.MustCompile(`(?i)^[\s;]*pragma\b`)

// plainSQL returns a statement of the same length with spaces in place of its comments,
// and with x in place of quoted texts and names.
func plainSQL(query string) string {
	return sqlTokens.ReplaceAllStringFunc(query, func(token string) string {
		with := "x"
		if strings.HasPrefix(token, "--") || strings.HasPrefix(token, "/*") {
			with = " "
		}
		return strings.Repeat(with, len(token))
	})
}

// hasSeveralStatements reports whether something follows the first statement. The driver
// runs all statements and returns the rows of the last alone.
func hasSeveralStatements(plain string) bool {
	_, rest, _ := strings.Cut(plain, ";")
	return strings.Trim(rest, "; \t\r\n\f") != ""
}
