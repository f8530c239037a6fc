package lab

// startImmediate prepares immediate, the usual advice: WAL, a busy timeout, and
// BEGIN IMMEDIATE, which takes the lock at once. A transaction that reads
// before it writes then never fails half-way (517, SQLITE_BUSY_SNAPSHOT).
// Waiters poll without ordering, as before, so some may starve.
func startImmediate(p *process) (implementation, error) {
	db, err := p.connect()
	if err != nil {
		return implementation{}, err
	}
	return implementation{close: db.close, write: func(rows []row) error {
		p.wants()
		return db.transaction("BEGIN IMMEDIATE", func() error {
			p.hasLock()
			for _, r := range rows {
				if err := db.insert(r); err != nil {
					return err
				}
				p.task()
			}
			return nil
		})
	}}, nil
}
