package store

// What a person decides of rejects: to accept a row that differs from the stored
// one, or to discard a reject.

import (
	"context"
	"errors"
	"fmt"

	"turnstile/internal/mta"
)

// Rejected names rejects: of one line of a source, or with line 0 of all its lines.
type Rejected struct {
	Source string
	Line   int64
}

func (r Rejected) String() string {
	if r.Line == 0 {
		return r.Source
	}
	return fmt.Sprintf("%s:%d", r.Source, r.Line)
}

// A NoRejectError reports that there is no reject that can be accepted or discarded.
type NoRejectError struct {
	Rejected
	Others int64 // rejects that are there, but can only be resolved by a corrected row
}

func (e *NoRejectError) Error() string {
	if e.Others == 0 {
		return fmt.Sprintf("%s has no rejects", e.Rejected)
	}
	return fmt.Sprintf("no reject of %s differs from a stored row", e.Rejected)
}

// An AcceptError reports that the record of a reject can't take the place of the
// stored row. Nothing is changed.
type AcceptError struct {
	Rejected
	Reason string
}

func (e *AcceptError) Error() string {
	return fmt.Sprintf("%s: %s", e.Rejected, e.Reason)
}

// acceptRows is how many rows are replaced by one batch within the transaction. It
// bounds the memory.
const acceptRows = 5000

// Accept replaces stored rows by the records of the rejects that differ from them,
// in one transaction, and deletes these rejects. If a line has several, the newest is
// taken. It returns the number of rows. Its errors are [*NoRejectError] and
// [*AcceptError].
func (d *DB) Accept(ctx context.Context, which Rejected) (n int64, err error) {
	w := &writeTx{DB: d, ctx: context.WithoutCancel(ctx), batch: &mta.Batch{}}
	err = d.transaction(ctx, func() error {
		n, err = w.accept(which, mta.NewParser())
		return err
	}, "accept rows")
	return n, err
}

func (w *writeTx) accept(which Rejected, parser *mta.Parser) (n int64, err error) {
	id, columns, err := w.decided(which)
	if err != nil {
		return 0, err
	}
	for after := which.Line - 1; ; {
		chunks, err := w.differing(id, columns, which, after)
		if err != nil || len(chunks) == 0 {
			return n, err
		}
		if err := w.replace(id, chunks, parser); err != nil {
			return n, err
		}
		n += int64(len(chunks))
		after = chunks[len(chunks)-1].Line
	}
}

// decided returns the id and the columns of the source, or a [*NoRejectError].
func (w *writeTx) decided(which Rejected) (id int64, columns string, err error) {
	var differ, others int64
	err = w.conn.QueryRowContext(w.ctx, `SELECT ifnull(min(s.id), 0), ifnull(min(s.columns), ''),
			ifnull(sum(x.reason = ?3), 0), ifnull(sum(x.reason <> ?3), 0)
		FROM source s JOIN reject x ON x.source = s.id
		WHERE s.name = ?1 AND (?2 = 0 OR ?2 BETWEEN x.line AND max(x.line, x.last))`,
		which.Source, which.Line, reasonDiffers).Scan(&id, &columns, &differ, &others)
	if err == nil && differ == 0 {
		err = &NoRejectError{which, others}
	}
	return id, columns, err
}

// differing returns the records that differ from stored rows, one for each of the
// next lines.
func (w *writeTx) differing(id int64, columns string, which Rejected, after int64) (chunks []mta.Chunk, err error) {
	rows, err := w.conn.QueryContext(w.ctx, `SELECT line, max(id), record FROM reject
		WHERE source = ?1 AND reason = ?2 AND line > ?3 AND (?4 = 0 OR line = ?4) GROUP BY line ORDER BY line LIMIT ?5`,
		id, reasonDiffers, after, which.Line, acceptRows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		c, newest := mta.Chunk{Source: which.Source, Columns: columns}, int64(0)
		if err := rows.Scan(&c.Line, &newest, &c.Data); err != nil {
			return nil, err
		}
		chunks = append(chunks, c)
	}
	return chunks, rows.Err()
}

// replace deletes the stored rows and the rejects of some lines, and stores the
// records as a batch.
func (w *writeTx) replace(id int64, chunks []mta.Chunk, parser *mta.Parser) error {
	parser.Begin()
	w.batch.Parts = w.batch.Parts[:0]
	for _, c := range chunks {
		part := parser.Parse(c)
		if len(part.Rejects) > 0 {
			return &AcceptError{Rejected{c.Source, c.Line}, part.Rejects[0].Reason}
		}
		w.batch.Parts = append(w.batch.Parts, part)
		if _, err := w.exec(w.ctx, "DELETE FROM ride WHERE id = ?", id<<32|c.Line); err != nil {
			return err
		}
		if _, err := w.exec(w.ctx, "DELETE FROM reject WHERE source = ? AND line = ? AND reason = ?", id, c.Line, reasonDiffers); err != nil {
			return err
		}
	}
	w.batch.Dims, w.outcomes = parser.Dimensions(), make([]mta.Outcome, len(chunks))
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.writeSource(chunks[0].Source); err != nil {
		return err
	}
	for i, o := range w.outcomes {
		if o.Stored != 1 {
			return &AcceptError{Rejected{chunks[i].Source, chunks[i].Line}, reasonRefused}
		}
	}
	return nil
}

// Discard deletes rejects that differ from stored rows, and keeps those rows. Of
// [mta.ReservedSource], the malformed and foreign messages, it deletes any reject. It
// returns the number of lines. Its error may be a [*NoRejectError].
func (d *DB) Discard(ctx context.Context, which Rejected) (n int64, err error) {
	w := &writeTx{DB: d, ctx: context.WithoutCancel(ctx), batch: &mta.Batch{}}
	err = d.transaction(ctx, func() error {
		n, err = w.discard(which, which.Source == mta.ReservedSource)
		return err
	}, "discard rejects")
	return n, err
}

func (w *writeTx) discard(which Rejected, any bool) (n int64, err error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	id, _, err := w.decided(which)
	if none, ok := errors.AsType[*NoRejectError](err); err != nil && !(ok && any && none.Others > 0) {
		return 0, err
	}
	const where = ` FROM reject WHERE source = ?1 AND (?2 OR reason = ?3) AND (?4 = 0 OR ?4 BETWEEN line AND max(line, last))`
	if err := w.queryInt(w.ctx, &n, "SELECT ifnull(sum(max(last - line, 0) + 1), 0)"+where, id, any, reasonDiffers, which.Line); err != nil {
		return 0, err
	}
	_, err = w.exec(w.ctx, "DELETE"+where, id, any, reasonDiffers, which.Line)
	return n, err
}
