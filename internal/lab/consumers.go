package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/lab/report"
	"turnstile/internal/stream"
)

// startConsumers prepares consumers, the usual reaction to a consumer that is
// too slow: start more of them. The queue distributes the rows well, and then
// all consumers write to one file and compete for its lock again.
func startConsumers(p *process) (implementation, error) {
	db, err := p.connect()
	if err != nil {
		return implementation{}, err
	}
	// A machine that stands still for seconds while they connect is no error.
	nc, err := nats.Connect(p.job.Server, nats.Timeout(startLimit), nats.RetryOnFailedConnect(true))
	if err != nil {
		return implementation{}, errors.Join(fmt.Errorf("lab: connect to the queue: %w", err), db.close())
	}
	q, err := openSharedQueue(nc, p.job.Setting)
	if err != nil {
		return implementation{}, errors.Join(err, db.close())
	}
	var inFlight []jetstream.Msg
	return implementation{
		take: func() (rows []row, err error) {
			rows, inFlight, err = q.take(p.job.PerTransaction)
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
			return errors.Join(err, acknowledge(inFlight, err))
		},
		close: func() error {
			q.messages.Stop()
			return errors.Join(nc.Flush(), db.close())
		},
	}, nil
}

// sharedConsumer is the durable consumer that all processes take from.
const sharedConsumer = "many"

type sharedQueue struct {
	setting  report.Setting
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
}

// openSharedQueue begins to take rows. It prefetches one transaction's rows at
// most: no other process can have what one has prefetched.
func openSharedQueue(nc *nats.Conn, s report.Setting) (q sharedQueue, err error) {
	q.setting = s
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(startLimit))
	if err != nil {
		return q, err
	}
	if q.consumer, err = js.Consumer(context.Background(), stream.Name, sharedConsumer); err != nil {
		return q, fmt.Errorf("lab: take rows from the queue: %w", err)
	}
	q.messages, err = q.consumer.Messages(jetstream.PullMaxMessages(s.PerTransaction))
	return q, err
}

// emptyAfter is how long nothing must arrive before the queue is asked whether
// it is empty.
const emptyAfter = 20 * time.Millisecond

// take waits for as many rows as a transaction has, or fewer if there are no
// more; none when the queue is empty.
func (q sharedQueue) take(n int) (rows []row, messages []jetstream.Msg, err error) {
	for len(rows) < n {
		m, err := q.messages.Next(jetstream.NextMaxWait(emptyAfter))
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
		// The queue was filled with the rows in this order.
		rows = append(rows, nthRow(q.setting, int(meta.Sequence.Stream)-1))
		messages = append(messages, m)
	}
	return rows, messages, nil
}

// acknowledge acknowledges the messages of rows that are stored. Failed rows
// are not redelivered: no strategy retries.
func acknowledge(messages []jetstream.Msg, failed error) error {
	var errs error
	for _, m := range messages {
		if failed == nil {
			errs = errors.Join(errs, m.Ack())
		} else {
			errs = errors.Join(errs, m.Term())
		}
	}
	return errs
}
