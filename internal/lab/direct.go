package lab

import "errors"

// direct is what the original program does for each row: connect, insert,
// work, commit, disconnect.
//
// BEGIN alone locks nothing, it is deferred. The first INSERT takes the lock,
// the task works on with it in hand, and COMMIT gives it back. Whoever comes
// meanwhile asks again and again until the busy timeout is over, and then has
// "database is locked".
var _ = register(Strategy{
	Rank: 1, Name: "direct",
	Does:    "a connection a row, rollback journal, deferred transaction: as the original",
	Where:   "between INSERT and COMMIT",
	Journal: "delete", Locked: true,

	start: startDirect,
})

func startDirect(p *process) (worker, error) {
	return worker{write: func(rows []row) (err error) {
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
