package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The rows of the witness: the ridership of a row is its line.
const (
	witnessSource  = "witness.csv"
	witnessColumns = "transit_timestamp,station_complex_id,ridership"
	witnessRow     = "02/01/2022 05:00:00 AM,445,%d\n"
	confirmPrefix  = "turnstile.confirm.witness."
)

// A witness publishes rows by the documented wire format, and remembers what was
// promised to it: the broker's acknowledgements, and the consumer's
// confirmations. It is never killed, and sends nothing again that was
// acknowledged: a row that the queue loses is missing at the end. Only when the
// store of the broker was wiped does it resend what was not confirmed.
type witness struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu        sync.Mutex
	messages  []*witnessMessage
	lines     int // the next line
	wipes     int
	confirmed int
	news      chan struct{} // has room for one: something was confirmed
	finishing bool
}

type witnessMessage struct {
	id, line, rows   int
	acked, confirmed bool
}

func newWitness(url string) (*witness, error) {
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ReconnectJitter(0, 0))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	w := &witness{nc: nc, js: js, lines: 2, news: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	_, err = nc.Subscribe(confirmPrefix+"*", w.onConfirmation)
	return w, err
}

func (w *witness) close() {
	w.cancel()
	w.workers.Wait()
	w.nc.Close()
}

func (w *witness) onConfirmation(m *nats.Msg) {
	var answer struct{ Stored, Already_there, Rejected int }
	id, err := strconv.Atoi(strings.TrimPrefix(m.Subject, confirmPrefix))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || json.Unmarshal(m.Data, &answer) != nil || id >= len(w.messages) ||
		answer.Stored+answer.Already_there != w.messages[id].rows {
		fmt.Fprintf(os.Stderr, "e2e: a confirmation on %s: %s\n", m.Subject, m.Data)
		return
	}
	if !w.messages[id].confirmed {
		w.messages[id].confirmed = true
		w.confirmed++
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// start publishes messages of one to eight rows until finish or close.
func (w *witness) start() {
	for range 4 {
		w.workers.Go(func() {
			for {
				m := w.next()
				if m == nil || !w.publish(w.ctx, m) {
					return
				}
				time.Sleep(5 * time.Millisecond) // a few hundred messages a second, as long as the round takes
			}
		})
	}
}

func (w *witness) next() *witnessMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finishing {
		return nil
	}
	m := &witnessMessage{id: len(w.messages), line: w.lines, rows: 1 + len(w.messages)%8}
	w.messages = append(w.messages, m)
	w.lines += m.rows
	return m
}

// publish sends a message until the broker acknowledges it. It returns false if
// ctx ends before.
func (w *witness) publish(ctx context.Context, m *witnessMessage) bool {
	var body bytes.Buffer
	for i := range m.rows {
		fmt.Fprintf(&body, witnessRow, m.line+i)
	}
	for ctx.Err() == nil {
		w.mu.Lock()
		wipes := w.wipes
		w.mu.Unlock()
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := w.js.PublishMsg(attempt, &nats.Msg{Subject: "mta.ridership.witness_csv", Data: body.Bytes(), Header: nats.Header{
			"Turnstile-Source": {witnessSource}, "Turnstile-Line": {strconv.Itoa(m.line)}, "Turnstile-Columns": {witnessColumns},
			"Turnstile-Confirm": {confirmPrefix + strconv.Itoa(m.id)},
		}}, jetstream.WithRetryAttempts(0))
		cancel()
		w.mu.Lock()
		m.acked = err == nil && wipes == w.wipes
		done := m.acked
		w.mu.Unlock()
		if done {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// wiped forgets the acknowledgements of a store that is no more.
func (w *witness) wiped() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wipes++
	for _, m := range w.messages {
		m.acked = m.confirmed
	}
}

// progress waits until a message is confirmed that was sent after the call.
func (w *witness) progress(within time.Duration) error {
	w.mu.Lock()
	first := len(w.messages)
	w.mu.Unlock()
	late := time.After(within)
	for {
		select {
		case <-w.news:
		case <-late:
			return fmt.Errorf("no row that was sent from line %d on is confirmed after %v", w.lines, within)
		}
		w.mu.Lock()
		for _, m := range w.messages[first:] {
			if m.confirmed {
				w.mu.Unlock()
				return nil
			}
		}
		w.mu.Unlock()
	}
}

// finish stops sending new rows, resends those of a wiped store, and writes the
// file that has all rows.
func (w *witness) finish(file string, within time.Duration) error {
	w.mu.Lock()
	w.finishing = true
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(w.ctx, within)
	defer cancel()
	w.workers.Wait()
	var text bytes.Buffer
	fmt.Fprintln(&text, witnessColumns)
	for _, m := range w.messages {
		if !m.acked && !w.publish(ctx, m) {
			return fmt.Errorf("line %d of %s is not acknowledged after %v", m.line, witnessSource, within)
		}
		for i := range m.rows {
			fmt.Fprintf(&text, witnessRow, m.line+i)
		}
	}
	return os.WriteFile(file, text.Bytes(), 0o600)
}

// confirmedLines are the lines that the consumer has confirmed until now.
func (w *witness) confirmedLines() (lines []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.messages {
		for i := range m.rows {
			if m.confirmed {
				lines = append(lines, m.line+i)
			}
		}
	}
	return lines
}

func (w *witness) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d+%d rows, %d of %d messages confirmed", campaignRows, w.lines-2, w.confirmed, len(w.messages))
}
