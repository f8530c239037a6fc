package scene

// An actor: a process with one connection, that does what it is told, a
// statement at a time. It speaks JSON lines, and ends when its input does, so
// that a director who dies leaves no orphan.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// A command is what a director tells an actor: to open a database, or to
// execute a statement.
type command struct {
	Open          string `json:"open,omitempty"`
	BusyTimeoutMS int64  `json:"busy_timeout_ms,omitempty"`
	SQL           string `json:"sql,omitempty"`
}

// An answer is sent twice for each command: at once, with Began alone, and
// when it is done.
type answer struct {
	Began    bool    `json:"began,omitempty"`
	Code     int     `json:"code"`
	Message  string  `json:"message,omitempty"`
	Rows     string  `json:"rows,omitempty"`
	WaitedMS float64 `json:"waited_ms"`
}

// Actor is the life of an actor's process.
func Actor(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	a := &actor{ctx: ctx}
	defer func() { err = errors.Join(err, a.close()) }()
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := orders.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("scene: actor: %w", err)
		}
		// The clock starts before the director hears of it: what the
		// director does next falls into this statement's wait.
		start := time.Now()
		if err := answers.Encode(answer{Began: true}); err != nil {
			return fmt.Errorf("scene: actor: %w", err)
		}
		rows, err := a.obey(c)
		done := answer{Rows: rows, WaitedMS: milliseconds(time.Since(start))}
		if e, ok := errors.AsType[*sqlite.Error](err); ok {
			done.Code, done.Message = e.Code(), e.Error()
		} else if err != nil {
			return fmt.Errorf("scene: actor: %w", err)
		}
		if err := answers.Encode(done); err != nil {
			return fmt.Errorf("scene: actor: %w", err)
		}
	}
}

type actor struct {
	ctx  context.Context
	db   *sql.DB
	conn *sql.Conn // the one connection; nil before the first open
}

func (a *actor) obey(c command) (rows string, err error) {
	if c.Open != "" {
		return "", a.open(c.Open, c.BusyTimeoutMS)
	}
	if a.conn == nil {
		return "", errors.New("nothing is open")
	}
	return query(a.ctx, a.conn, c.SQL)
}

func (a *actor) open(path string, timeout int64) error {
	if err := a.close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, fmt.Sprintf("busy_timeout(%d)", timeout)))
	if err != nil {
		return err
	}
	a.db = db
	a.conn, err = db.Conn(a.ctx)
	return err
}

func dsn(path string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/...
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return u.String()
}

func (a *actor) close() error {
	if a.db == nil {
		return nil
	}
	var err error
	if a.conn != nil {
		err = a.conn.Close()
	}
	err = errors.Join(err, a.db.Close())
	a.db, a.conn = nil, nil
	return err
}

// query executes a statement to its end. Its rows come back as text: columns
// parted by |, rows by a comma.
func query(ctx context.Context, conn *sql.Conn, statement string) (text string, err error) {
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all []string
	for rows.Next() {
		values, places := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return "", err
		}
		var row []string
		for _, v := range values {
			row = append(row, v.String)
		}
		all = append(all, strings.Join(row, "|"))
	}
	return strings.Join(all, ", "), rows.Err()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
