package scene

// The child side of a scene: a process with one connection that executes one
// statement at a time.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"turnstile/internal/store"

	"modernc.org/sqlite"
)

// order tells a child to open a database or to execute a statement. Orders and
// replies are JSON, one a line.
type order struct {
	Open          string `json:"open,omitempty"`
	BusyTimeoutMS int64  `json:"busy_timeout_ms,omitempty"`
	SQL           string `json:"sql,omitempty"`
}

// reply is sent twice for each order: first with Began alone, then with the
// outcome.
type reply struct {
	Began    bool    `json:"began,omitempty"`
	Code     int     `json:"code"`
	Message  string  `json:"message,omitempty"`
	Rows     string  `json:"rows,omitempty"`
	WaitedMS float64 `json:"waited_ms"`
}

// Child runs in the process of an actor. It ends when its input ends, so no
// child outlives its parent.
func Child(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	s := &session{ctx: ctx}
	defer func() { err = errors.Join(err, s.close()) }()
	orders, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("scene: child: %w", err)
		}
		// Start the clock before the parent knows that the statement has begun:
		// what the parent does next is part of this statement's wait.
		start := time.Now()
		if err := replies.Encode(reply{Began: true}); err != nil {
			return fmt.Errorf("scene: child: %w", err)
		}
		rows, err := s.execute(o)
		done := reply{Rows: rows, WaitedMS: milliseconds(time.Since(start))}
		if e, ok := errors.AsType[*sqlite.Error](err); ok {
			done.Code, done.Message = e.Code(), e.Error()
		} else if err != nil {
			return fmt.Errorf("scene: child: %w", err)
		}
		if err := replies.Encode(done); err != nil {
			return fmt.Errorf("scene: child: %w", err)
		}
	}
}

// session is the connection of a child.
type session struct {
	ctx  context.Context
	db   *sql.DB
	conn *sql.Conn // nil before the first open
}

func (s *session) execute(o order) (rows string, err error) {
	if o.Open != "" {
		return "", s.open(o.Open, o.BusyTimeoutMS)
	}
	if s.conn == nil {
		return "", errors.New("no database is open")
	}
	return query(s.ctx, s.conn, o.SQL)
}

func (s *session) open(path string, timeout int64) error {
	if err := s.close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", store.DataSource(path, "", time.Duration(timeout)*time.Millisecond))
	if err != nil {
		return err
	}
	s.db = db
	s.conn, err = db.Conn(s.ctx)
	return err
}

func (s *session) close() error {
	if s.db == nil {
		return nil
	}
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	err = errors.Join(err, s.db.Close())
	s.db, s.conn = nil, nil
	return err
}

// query executes a statement and reads all its rows. It returns them as text,
// with | between columns and a comma between rows.
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
