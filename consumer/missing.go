package main

// Why rows of a file are missing: they were not sent yet, they are still in the
// queue, or they are lost.

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/store"
	"turnstile/internal/stream"
)

// A missingReason is why rows are missing, as far as database and queue tell.
type missingReason string

const (
	missingQueued missingReason = "queued"   // messages of the data set are in the queue
	missingUnsent missingReason = "not sent" // none of it is queued, and no line after the missing ones is stored
	missingLost   missingReason = "lost"     // none of it is queued, and later lines are stored
)

const (
	// connectTimeout bounds what verify waits for a broker. There need not be one.
	connectTimeout = 2 * time.Second
	// answerTimeout is for a broker that is there, and may be busy.
	answerTimeout = 10 * time.Second
)

// explainMissing sets why rows of the proofs are missing.
func explainMissing(ctx context.Context, proofs []fileProof, db *store.Reader, server *cli.Server) error {
	ask := &queueQuestion{server: server}
	defer ask.close()
	for i := range proofs {
		p := &proofs[i]
		if p.Missing == 0 {
			continue
		}
		last, err := db.LastLine(ctx, p.Source)
		if err != nil {
			return err
		}
		p.MissingBecause = missingUnsent
		if last > p.FirstMissing {
			p.MissingBecause = missingLost
		}
		var queueErr error
		p.Queued, queueErr = ask.messages(ctx, p.Source)
		if p.QueueAsked = queueErr == nil; p.Queued > 0 {
			p.MissingBecause = missingQueued
		}
	}
	return nil
}

// A queueQuestion asks a broker, if there is one, for the messages of data sets.
type queueQuestion struct {
	server *cli.Server
	conn   *stream.Conn
	err    error // the broker does not answer
}

func (q *queueQuestion) messages(ctx context.Context, source string) (uint64, error) {
	if q.conn == nil && q.err == nil {
		connect, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		q.conn, q.err = stream.Connect(connect, q.server.Config("consumer", "turnstile consumer verify", slog.New(slog.DiscardHandler)))
	}
	if q.err != nil {
		return 0, q.err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	n, err := q.conn.Queued(ctx, source)
	q.err = err
	return n, err
}

func (q *queueQuestion) close() {
	if q.conn != nil {
		_ = q.conn.Close() // it only asked
	}
}

// describeMissing says why rows are missing, or returns "".
func describeMissing(p fileProof) string {
	text := map[missingReason]string{
		missingQueued: fmt.Sprintf("%s: still queued, %s; a row that is not queued is not sent yet, or lost", p.Source, countOf(int64(p.Queued), "message")),
		missingUnsent: fmt.Sprintf("%s: not sent yet, nothing is stored from line %d on", p.Source, p.FirstMissing),
		missingLost:   fmt.Sprintf("%s: not sent or lost, from line %d on; later lines are stored", p.Source, p.FirstMissing),
	}[p.MissingBecause]
	switch {
	case text == "":
		return ""
	case !p.QueueAsked:
		text += "; or still queued: no broker answered"
	}
	return "     " + text + "\n"
}

// missingHint returns what to do about missing rows.
func missingHint(p fileProof) string {
	file := cli.ShellQuote(p.File)
	if filepath.Base(p.File) != p.Source {
		file = "--source " + cli.ShellQuote(p.Source) + " " + file
	}
	switch p.MissingBecause {
	case missingQueued:
		return "store them: consumer --until-drained; or wait for the consumer that runs, and for a producer that still sends"
	case missingUnsent:
		if p.Stored+p.Rejected == 0 {
			return "send it: producer --rate max " + file
		}
		return fmt.Sprintf("send them: producer --rate max --from-line %d %s", p.FirstMissing, file)
	}
	return "send the file again, no row is stored twice: producer --rate max " + file
}
