package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/stream"
)

// consumers is what one does when a consumer is too slow: start more of them.
// The queue shares the rows out well, and then they all write to one file. The
// lock is back, behind the queue.
var _ = register(Strategy{
	Rank: 6, Name: "consumers",
	Does:    "many consumers take rows from one queue, and each writes as wal does",
	Where:   "between INSERT and COMMIT",
	Journal: "wal", Locked: true, Queue: FromQueue,

	start: startConsumers,
})

func startConsumers(p *process) (worker, error) {
	db, err := p.connect()
	if err != nil {
		return worker{}, err
	}
	nc, err := nats.Connect(p.spec.Server)
	if err != nil {
		return worker{}, errors.Join(fmt.Errorf("lab: connect to the queue: %w", err), db.close())
	}
	q, err := manyOf(nc, p.spec.Setting)
	if err != nil {
		return worker{}, errors.Join(err, db.close())
	}
	var inHand []jetstream.Msg
	return worker{
		take: func() (rows []row, err error) {
			rows, inHand, err = q.take(p.spec.PerTransaction)
			return rows, err
		},
		write: func(rows []row) error {
			p.wants()
			err := db.transaction("BEGIN", func() error {
				for _, r := range rows {
					if err := db.insert(r); err != nil {
						return err
					}
					p.hasLock()
					p.task()
				}
				return nil
			})
			return errors.Join(err, settle(inHand, err))
		},
		close: func() error {
			q.messages.Stop()
			return errors.Join(nc.Flush(), db.close())
		},
	}, nil
}

// many is the durable consumer that all processes take from.
const many = "many"

type sharedQueue struct {
	setting  Setting
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
}

// manyOf begins to take rows, and has at most one transaction's ahead: what
// one process holds ready no other can have.
func manyOf(nc *nats.Conn, s Setting) (q sharedQueue, err error) {
	q.setting = s
	js, err := jetstream.New(nc)
	if err != nil {
		return q, err
	}
	if q.consumer, err = js.Consumer(context.Background(), stream.Name, many); err != nil {
		return q, fmt.Errorf("lab: take rows from the queue: %w", err)
	}
	q.messages, err = q.consumer.Messages(jetstream.PullMaxMessages(s.PerTransaction))
	return q, err
}

// dry is how long nothing must come before the queue is asked whether it is
// empty.
const dry = 20 * time.Millisecond

// take waits for as many rows as a transaction has, or fewer where there are
// no more; none when the queue is empty.
func (q sharedQueue) take(n int) (rows []row, messages []jetstream.Msg, err error) {
	for len(rows) < n {
		m, err := q.messages.Next(jetstream.NextMaxWait(dry))
		if errors.Is(err, nats.ErrTimeout) {
			info, err := q.consumer.Info(context.Background())
			if err != nil || info.NumPending == 0 {
				return rows, messages, err
			}
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("lab: take rows from the queue: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, nil, err
		}
		// The queue was filled with them in this order.
		rows = append(rows, q.setting.nth(int(meta.Sequence.Stream)-1))
		messages = append(messages, m)
	}
	return rows, messages, nil
}

// settle tells the queue what became of its rows. What was refused is given
// up, as by every strategy, and does not come again.
func settle(messages []jetstream.Msg, refused error) error {
	var errs error
	for _, m := range messages {
		if refused == nil {
			errs = errors.Join(errs, m.Ack())
		} else {
			errs = errors.Join(errs, m.Term())
		}
	}
	return errs
}
