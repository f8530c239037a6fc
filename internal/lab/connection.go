package lab

// One connection to the database, as the strategies use it: plain SQL, each
// statement prepared once.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // SQLite without cgo: every system we build for has it
)

// connection is one connection. Its calls carry no context: a context that can
// end costs the driver a goroutine a statement, and a process that must stop
// leaves its statement alone and ends (see child.go).
type connection struct {
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

// dsn names the file and its settings. They belong there: a PRAGMA executed
// later reaches one connection of a pool. The file has to be there already, so
// that a misspelt name is an error.
func dsn(path string, busy time.Duration, sync string) string {
	if path = filepath.ToSlash(path); !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/... on Windows
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"mode": {"rw"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
			fmt.Sprintf("synchronous(%s)", sync),
		},
	}.Encode()}
	return u.String()
}

func (p *process) connect() (*connection, error) {
	db, err := sql.Open("sqlite", dsn(p.spec.Database, p.spec.busyTimeout(), p.spec.Sync))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &connection{db, conn, map[string]*sql.Stmt{}}, nil
}

func (c *connection) close() error { return errors.Join(c.conn.Close(), c.db.Close()) }

func (c *connection) exec(query string, args ...any) error {
	s, ok := c.statements[query]
	if !ok {
		var err error
		if s, err = c.conn.PrepareContext(context.Background(), query); err != nil {
			return err
		}
		c.statements[query] = s
	}
	_, err := s.Exec(args...)
	return err
}

// transaction runs the body between begin and COMMIT. It does nothing a second
// time: an error rolls back and is the caller's.
func (c *connection) transaction(begin string, body func() error) error {
	if err := c.exec(begin); err != nil {
		return err
	}
	err := body()
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		// A COMMIT that found the file locked leaves the transaction open,
		// and with it the lock: all others would wait for nothing.
		return errors.Join(err, c.exec("ROLLBACK"))
	}
	return nil
}

const insertRide = `INSERT INTO ride (id, transit_at, station, fare, ridership, transfers) VALUES (?, ?, ?, ?, ?, ?)`

func (c *connection) insert(r row) error {
	v := r.ride()
	return c.exec(insertRide, v.id, v.at, v.station, v.fare, v.ridership, v.transfers)
}
