package lab

import (
	"context"
	"errors"
	"fmt"
)

// startConfirmed prepares confirmed: a process asks the single writer to store
// its rows, and waits for the answer, which comes after the commit. The rows
// are not in a queue: their process keeps them until then. While the writer
// commits, the next requests gather, and one commit serves them all: group
// commit.
func startConfirmed(p *process) (implementation, error) {
	ctx := context.Background()
	conn, err := p.dial(ctx)
	if err != nil {
		return implementation{}, err
	}
	requester, err := conn.Requester()
	if err != nil {
		return implementation{}, errors.Join(err, conn.Close())
	}
	return implementation{
		write: func(rows []row) error {
			for range rows {
				p.task()
			}
			p.wants()
			o, err := requester.Store(ctx, message(rows))
			if err == nil && o.Rejected > 0 {
				err = fmt.Errorf("lab: the writer rejected %d of %d rows", o.Rejected, len(rows))
			}
			return err
		},
		close: func() error { return errors.Join(requester.Close(), conn.Close()) },
	}, nil
}
