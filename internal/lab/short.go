package lab

// short is immediate with the task done first: the lock is held for the INSERT
// and the COMMIT and no longer. It is the cure that needs no queue, where the
// work behind a row does not depend on what the database says.
var _ = register(Strategy{
	Rank: 5, Name: "short",
	Does:    "immediate with the task moved out of the transaction: the cure without a queue",
	Where:   "before BEGIN",
	Journal: "wal",

	start: startShort,
})

func startShort(p *process) (worker, error) {
	db, err := p.connect()
	if err != nil {
		return worker{}, err
	}
	return worker{close: db.close, write: func(rows []row) error {
		for range rows {
			p.task()
		}
		p.wants()
		return db.transaction("BEGIN IMMEDIATE", func() error {
			p.hasLock()
			for _, r := range rows {
				if err := db.insert(r); err != nil {
					return err
				}
			}
			return nil
		})
	}}, nil
}
