package lab

import "errors"

// startDirect prepares direct: for each row connect, insert, work, commit,
// disconnect. It is how the program that this project began with writes.
//
// BEGIN alone takes no lock, it is deferred. The first INSERT takes the lock,
// the task runs while it is held, and COMMIT releases it. A connection that
// finds the database locked retries until its busy timeout expires, and then
// returns SQLITE_BUSY, "database is locked".
func startDirect(p *process) (implementation, error) {
	return implementation{write: func(rows []row) (err error) {
		p.wants()
		db, err := p.connect()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.close()) }()
		return db.transaction("BEGIN", func() error {
			for _, r := range rows {
				if err := db.insert(r); err != nil {
					return err
				}
				p.hasLock()
				p.task()
			}
			return nil
		})
	}}, nil
}
