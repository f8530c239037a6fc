package lab

import (
	"errors"

	"github.com/gofrs/flock"
)

// startTurns prepares turns: as immediate, but the processes take turns by two
// lock files beside the database. It is the cure for starvation that needs no
// server.
//
// The kernel keeps those that wait for a lock file in order, and wakes one. One
// file alone would not be fair: a process that releases it and wants it again
// is there before the one that is woken. So each first waits for next, and
// holds it until it has the turn. The kernel also frees both if their process
// is killed. All processes must take turns, on one machine.
func startTurns(p *process) (implementation, error) {
	db, err := p.connect()
	if err != nil {
		return implementation{}, err
	}
	next, turn := flock.New(p.job.Database+".next"), flock.New(p.job.Database+".turn")
	return implementation{close: db.close, write: func(rows []row) error {
		p.wants()
		if err := errors.Join(next.Lock(), turn.Lock(), next.Unlock()); err != nil {
			return err
		}
		err := db.transaction("BEGIN IMMEDIATE", func() error {
			p.hasLock()
			for _, r := range rows {
				if err := db.insert(r); err != nil {
					return err
				}
				p.task()
			}
			return nil
		})
		return errors.Join(err, turn.Unlock())
	}}, nil
}
