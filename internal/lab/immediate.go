package lab

// immediate is the popular advice: WAL, a busy timeout, and BEGIN IMMEDIATE,
// which takes the lock at once. A transaction that reads before it writes is
// then never refused half-way (517). Who waits for the lock waits as before,
// and nothing keeps the order: SQLite has no queue, it only asks again.
var _ = register(Strategy{
	Rank: 4, Name: "immediate",
	Does:    "one connection, write-ahead log, BEGIN IMMEDIATE: the popular advice",
	Where:   "between INSERT and COMMIT",
	Journal: "wal", Locked: true,

	start: startImmediate,
})

func startImmediate(p *process) (worker, error) {
	db, err := p.connect()
	if err != nil {
		return worker{}, err
	}
	return worker{close: db.close, write: func(rows []row) error {
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
