package lab

// wal keeps one connection and writes to a write-ahead log. Readers and the
// writer no longer meet, and a commit is cheaper. Two writers meet as before:
// there is one lock for writing, and the task still holds it.
var _ = register(Strategy{
	Rank: 3, Name: "wal",
	Does:    "one connection, write-ahead log, deferred transaction",
	Where:   "between INSERT and COMMIT",
	Journal: "wal", Locked: true,

	start: startWAL,
})

func startWAL(p *process) (worker, error) {
	db, err := p.connect()
	if err != nil {
		return worker{}, err
	}
	return worker{close: db.close, write: func(rows []row) error {
		p.wants()
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
