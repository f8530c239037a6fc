package store

import "turnstile/internal/mta"

// Reasons of rejects that the store finds. The parser finds all others.
const (
	reasonDiffers = "differs from the stored row"
	reasonRefused = "refused by a constraint of the table"
)

// writeRejects stores a reject for each row that is not stored as a ride,
// resolves earlier rejects, and counts the outcomes of the parts.
func (s *sourceTx) writeRejects() error {
	if err := s.resolveRejects(); err != nil {
		return err
	}
	for i, r := range s.rows {
		o := &s.outcomes[r.part]
		switch s.states[i] {
		case rowStored:
			o.Stored++
		case rowPresent:
			o.AlreadyThere++
		case rowDiffers:
			o.Rejected++
			s.warnDiffers(r)
			if err := s.insertReject(mta.Reject{Line: int64(r.Line), Reason: reasonDiffers, Record: r.Raw}); err != nil {
				return err
			}
		case rowRefused:
			o.Rejected++
			s.warnRefused(r)
			if err := s.insertReject(mta.Reject{Line: int64(r.Line), Reason: reasonRefused, Record: r.Raw}); err != nil {
				return err
			}
		}
	}
	return s.writeParserRejects()
}

// writeParserRejects stores the rejects of the parser. A later part of the
// same batch may hold the corrected row, which resolves the reject at once.
func (s *sourceTx) writeParserRejects() error {
	accepted := map[int64]int{} // by line: the last part with an accepted row
	if s.hasRejects() {
		for i, r := range s.rows {
			if s.states[i].accepted() {
				accepted[int64(r.Line)] = r.part
			}
		}
	}
	for i := range s.batch.Parts {
		p := &s.batch.Parts[i]
		if p.Source != s.name {
			continue
		}
		for _, r := range p.Rejects {
			s.outcomes[i].Rejected += int(r.Lines())
			resolved := func(line int64) bool { part, ok := accepted[line]; return ok && part > i }
			if len(accepted) == 0 {
				resolved = func(int64) bool { return false }
			}
			if err := s.insertUnresolved(r, resolved); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sourceTx) hasRejects() bool {
	for i := range s.batch.Parts {
		if s.batch.Parts[i].Source == s.name && len(s.batch.Parts[i].Rejects) > 0 {
			return true
		}
	}
	return false
}

// A sourceWarning is a warning that is given once per source.
type sourceWarning struct {
	source string
	state  rowState
}

// firstOf reports whether this is the first warning of its kind for the source.
func (s *sourceTx) firstOf(state rowState) bool {
	if len(s.warned) > maxSources { // any program may send any number of sources
		clear(s.warned)
	}
	w := sourceWarning{s.name, state}
	first := !s.warned[w]
	s.warned[w] = true
	return first
}

func (s *sourceTx) warnDiffers(r batchRow) {
	if s.firstOf(rowDiffers) {
		s.Warn(&DiffersError{s.name, int64(r.Line)})
	}
}

func (s *sourceTx) warnRefused(r batchRow) {
	if s.firstOf(rowRefused) {
		s.Warn(&RefusedError{s.name, int64(r.Line), s.triggers(s.ctx)})
	}
}

// resolveRejects deletes the earlier rejects of lines whose rows are accepted
// now: a corrected row resolves the rejects of its line. A row that was stored
// before resolves them, too. Otherwise a redelivery of the bad row and of the
// corrected one would leave a reject. It does not delete a reject that differs
// from the stored row, because that row is stored nowhere else.
func (s *sourceTx) resolveRejects() error {
	if any, err := s.hasStoredRejects(); err != nil || !any {
		return err
	}
	states := make(map[int64]rowState, len(s.rows)) // by line; rowStored wins over rowPresent
	for i, r := range s.rows {
		if _, known := states[int64(r.Line)]; s.states[i] == rowStored || s.states[i] == rowPresent && !known {
			states[int64(r.Line)] = s.states[i]
		}
	}
	for from := 0; from < len(s.rows); {
		to := s.endOfSpan(from)
		stored, err := s.storedRuns(int64(s.rows[from].Line), int64(s.rows[to-1].Line), nil)
		if err != nil {
			return err
		}
		for _, run := range stored {
			if err := s.removeLines(run, resolvedLines(run, s.rows[from:to], states)); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// resolvedLines returns the lines of a stored run that rows resolve.
func resolvedLines(run storedRun, rows []batchRow, states map[int64]rowState) (lines []int64) {
	for _, r := range rows {
		line := int64(r.Line)
		state, accepted := states[line]
		if accepted && line >= run.line && line <= run.last && !(state == rowPresent && run.differs) {
			lines = append(lines, line)
		}
	}
	return lines
}

// hasStoredRejects reports whether any reject is stored within the lines of the
// rows. Mostly there is none.
func (s *sourceTx) hasStoredRejects() (bool, error) {
	if len(s.rows) == 0 {
		return false, nil
	}
	low, high := s.rows[0].Line, s.rows[0].Line
	for _, r := range s.rows {
		low, high = min(low, r.Line), max(high, r.Line)
	}
	var any int64
	err := s.queryInt(s.ctx, &any, `SELECT EXISTS (SELECT 1 FROM reject WHERE `+startWithin+`) OR EXISTS (SELECT 1 FROM reject WHERE `+reachInto+`)`,
		s.source, low, high, maxRun)
	return any != 0, err
}

// maxSpanGap is how many lines may lie between two rows of a span.
const maxSpanGap = 64

// endOfSpan returns the end of the rows from from on that stand close together
// in their file. Rows in order of time are spread over the whole file, and a
// query over all their lines could return a million rejects.
func (s *sourceTx) endOfSpan(from int) int {
	to := from + 1
	for to < len(s.rows) && s.rows[to].Line > s.rows[to-1].Line && s.rows[to].Line-s.rows[to-1].Line <= maxSpanGap {
		to++
	}
	return to
}
