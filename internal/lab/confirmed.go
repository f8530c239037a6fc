package lab

import (
	"context"
	"errors"
	"fmt"
)

// confirmed asks the one writer to store its rows, and waits for the answer,
// which comes after the commit. No queue keeps the rows, their process does.
// While the writer commits, the next requests gather, and one commit serves
// them all: group commit.
var _ = register(Strategy{
	Rank: 8, Name: "confirmed",
	Does:    "the processes ask the one writer, done when it has committed, for all who wait at once",
	Where:   "before asking, in all processes at once",
	Journal: "wal", Queue: Request,

	start: startConfirmed,
})

func startConfirmed(p *process) (worker, error) {
	ctx := context.Background()
	conn, err := p.dial(ctx)
	if err != nil {
		return worker{}, err
	}
	requester, err := conn.Requester()
	if err != nil {
		return worker{}, errors.Join(err, conn.Close())
	}
	return worker{
		write: func(rows []row) error {
			for range rows {
				p.task()
			}
			p.wants()
			o, err := requester.Store(ctx, chunk(rows))
			if err == nil && o.Rejected > 0 {
				err = fmt.Errorf("lab: the writer rejected %d of %d rows", o.Rejected, len(rows))
			}
			return err
		},
		close: func() error { return errors.Join(requester.Close(), conn.Close()) },
	}, nil
}
