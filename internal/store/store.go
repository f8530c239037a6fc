// Package store keeps rides in SQLite: one writer, any number of readers.
//
// # The writer
//
// [DB.Write] stores a batch in one transaction. SQLite reads the rides from a
// virtual table, with one statement instead of one per row. Rides whose ids
// follow the highest one are appended without a search of the table. All
// others are inserted with INSERT OR IGNORE. A ride that was ignored is
// compared with the stored one. If they differ, it becomes a reject.
//
// # Exactly once
//
// The id of a ride is source.id << 32 | line, so a redelivered ride meets the
// stored one. Write may be called any number of times with the same rides.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options are the settings of [Open].
type Options struct {
	Log         *slog.Logger
	BusyTimeout time.Duration // how long SQLite retries while the database is locked; 0 means 5 s
	// Warn is told of a condition that a person should know of, but that stops
	// nothing: a [*PinnedWALError], a [*DiffersError].
	Warn func(error)
	// Unsafe commits with synchronous=NORMAL, where a power cut may undo the
	// last commits. It exists for comparisons only.
	Unsafe bool
	// Begun and Ended are called when a write transaction has the lock, and
	// when it no longer has it. The lab measures by them; both may be nil.
	Begun, Ended func()
}

func (o Options) withDefaults() Options {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.Begun == nil {
		o.Begun = func() {}
	}
	if o.Ended == nil {
		o.Ended = func() {}
	}
	return o
}

// A DB is a database that is open for writing. It is for one goroutine. Its
// process holds the [WriterLock].
type DB struct {
	Options
	path     string      // symbolic links resolved
	realPath string      // path, absolute
	id       string      // of the database
	file     os.FileInfo // of the database when it was opened
	pool     *sql.DB
	conn     *sql.Conn // nil after an error, until the next call reconnects
	open     openWAL   // of conn; zero until its first transaction
	table    *batchTable
	prepared map[string]*sql.Stmt // statements of conn
	ids      idCache

	walWarned  time.Time // when Warn was last told of a large WAL
	warned     map[sourceWarning]bool
	largeWAL   int64        // in bytes; tests reduce it
	abandoned  bool         // see rescue
	failCommit func() error // tests make a transaction fail before its commit
}

// Open opens a database for writing, in WAL mode with synchronous=FULL. It
// creates the file if there is none. It returns a [*ForeignError] if the file
// is not a database of turnstile, and leaves it unchanged. It refuses files on
// which two writers would not meet: a [*LinkedError], [*MountedError] or
// [*NetworkError].
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	path = resolveLink(path)
	if err := check(ctx, path, o.BusyTimeout); err != nil {
		return nil, err
	}
	d := &DB{
		Options: o, path: path, largeWAL: largeWAL,
		table: &batchTable{}, warned: map[sourceWarning]bool{}, prepared: map[string]*sql.Stmt{},
	}
	sync := syncFull
	if o.Unsafe {
		sync = syncNormal
	}
	pool, err := connect(DataSource(path, "", o.BusyTimeout, writerPragmas("wal", sync)...), "", d.table)
	if err != nil {
		return nil, err
	}
	d.pool = pool
	if err := d.initialise(ctx); err != nil {
		return nil, errors.Join(openError(path, err), d.Close())
	}
	return d, nil
}

func (d *DB) initialise(ctx context.Context) (err error) {
	if err := d.connect(ctx); err != nil {
		return err
	}
	if err := ensureSchema(ctx, d.conn, d.path, d.logMigration); err != nil {
		return err
	}
	var mode string
	if err := d.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	if mode != "wal" {
		return fmt.Errorf("%s: the file system does not support WAL, only journal mode %s", d.path, mode)
	}
	if d.id, err = recordWriter(ctx, d.conn); err != nil {
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	if d.realPath, err = filepath.Abs(d.path); err == nil {
		d.realPath, err = filepath.EvalSymlinks(d.realPath)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if d.file, err = os.Stat(d.path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return d.identifyWAL()
}

func (d *DB) logMigration(from, to int) {
	d.Log.Info("migrated the database", "db", d.path, "from_version", from, "to_version", to)
}

// connect makes sure that there is a connection.
func (d *DB) connect(ctx context.Context) (err error) {
	if d.conn != nil {
		return nil
	}
	if d.conn, err = d.pool.Conn(ctx); err != nil {
		d.conn = nil
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	return nil
}

// disconnect discards the connection with all that depends on it. The cached
// ids of a transaction that was rolled back will be given to other rows.
func (d *DB) disconnect() error {
	// The statements go first: SQLite keeps a connection that has open ones,
	// and its lock.
	err := d.closeStatements()
	err = errors.Join(err, discardConn(d.conn))
	d.conn, d.ids, d.open = nil, idCache{}, openWAL{}
	return err
}

// Path returns the absolute path of the database, symbolic links resolved.
func (d *DB) Path() string { return d.realPath }

// ID returns the random id that the database was given when it was created.
func (d *DB) ID() string { return d.id }

// Close checkpoints the WAL as far as readers allow, and closes the database.
func (d *DB) Close() error {
	if d.abandoned {
		// Closing the last connection makes SQLite checkpoint the WAL. This
		// would overwrite what another program has written since.
		return nil
	}
	errs := []error{d.closeStatements()}
	if d.conn != nil {
		if d.file != nil { // Open succeeded
			errs = append(errs, d.truncateWAL(context.Background()))
		}
		if err := d.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, d.pool.Close())...)
}

// exec runs a statement, prepared once per connection.
func (d *DB) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := d.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// queryInt reads one number.
func (d *DB) queryInt(ctx context.Context, into *int64, query string, args ...any) error {
	s, err := d.prepare(ctx, query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(into)
}

func (d *DB) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := d.prepared[query]; ok {
		return s, nil
	}
	s, err := d.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	d.prepared[query] = s
	return s, nil
}

func (d *DB) closeStatements() error {
	var errs []error
	for _, s := range d.prepared {
		errs = append(errs, s.Close())
	}
	clear(d.prepared)
	return errors.Join(errs...)
}
