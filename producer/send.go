package main

// Sending: preflight check of all files, then their chunks to the publisher.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// A chunkReader yields the chunks of a file, in the order of the file or by
// time.
type chunkReader interface {
	Next(maxBytes, maxRecords int) (mta.Chunk, error)
}

// A sender sends the files of a config, one after the other.
type sender struct {
	config
	env      cli.Env
	log      *slog.Logger
	pub      *stream.Publisher
	summary  *stream.Announcer
	schedule *schedule
	progress *cli.Progress

	started   bool
	startTime time.Time
	file      int   // index of the file being sent
	line      int64 // first line of it that is not given to the publisher
	bytesRead int64 // of the files before it
	granted   int64 // rows that the schedule lets be sent now

	rows   *rowLog
	mu     sync.Mutex // guards result, which the publisher's goroutines update
	result result
}

func newSender(c config, env cli.Env, log *slog.Logger) *sender {
	return &sender{
		config: c, env: env, log: log, schedule: &schedule{pace: c.pace}, rows: newRowLog(env, log),
		result: result{counts: newCounts(c.stored()), Confirm: c.confirm, Asked: c.pace.asked(), Files: []fileResult{}},
	}
}

// send checks all files, connects, and sends them.
func (s *sender) send(ctx context.Context) (err error) {
	size, err := s.preflight(ctx)
	if err != nil {
		return s.finish(ctx, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := s.connect(ctx, cancel)
	if err != nil {
		return s.finish(ctx, err)
	}
	defer func() { err = errors.Join(err, s.summary.Close(), s.pub.Close(), conn.Close()) }()
	if s.pace.unlimited() {
		s.progress = cli.NewProgress(s.env, s.log, "sending", size)
		defer s.progress.Done()
	} else {
		defer s.watchPace(ctx, conn)()
	}
	if s.timeout > 0 {
		defer s.enforceTimeout(cancel)()
	}
	s.started, s.startTime = true, time.Now()
	defer s.rows.flush()
	if err := s.sendFiles(ctx); err != nil {
		return s.finish(ctx, err)
	}
	return s.finish(ctx, s.pub.Flush(ctx))
}

// preflight opens and closes every file, so that an unusable one is refused
// before any row is sent. It skips what can be read only once. It returns their
// total size, or -1 if it is unknown.
func (s *sender) preflight(ctx context.Context) (size int64, err error) {
	paths := map[string]string{} // by source
	for _, path := range s.files {
		if mta.IsStream(path) {
			source := cmp.Or(s.input.Source, mta.DefaultSource(path))
			s.result.Files = append(s.result.Files, fileResult{path, source, newCounts(s.stored())})
			size = -1
			continue
		}
		file, err := s.open(ctx, path)
		if err != nil {
			return 0, explainMissing(err, path)
		}
		source, n := file.Source(), file.Size()
		cli.LogColumns(s.log, file)
		if !s.keepGoing {
			err = checkRows(file)
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return 0, err
		}
		if other, ok := paths[source]; ok {
			return 0, cli.Usagef("send them one by one, each with its own --source",
				"%s and %s have the same data set name, %s", other, path, source)
		}
		paths[source] = path
		s.result.Files = append(s.result.Files, fileResult{path, source, newCounts(s.stored())})
		if size >= 0 && n >= 0 {
			size += n
		} else {
			size = -1
		}
	}
	return size, nil
}

// checkRows refuses a file whose first rows are all rejects: it is probably not
// the file that was meant.
func checkRows(file *mta.File) error {
	return cli.WithHint(file.CheckRows(1000), "correct the file, or send the rows to be rejected: --keep-going")
}

func explainMissing(err error, path string) error {
	if errors.Is(err, os.ErrNotExist) && path == sample {
		return cli.WithHint(fmt.Errorf("there is no %s in this folder", sample), "name a file: "+cli.Invocation("producer")+" FILE")
	}
	return err
}

// open opens a file. In order of time it is read from its beginning.
func (s *sender) open(ctx context.Context, path string) (*mta.File, error) {
	o := s.input
	if o.FromLine = s.fromLine(path); s.order == "time" {
		o.FromLine = 0
	}
	return mta.OpenFile(ctx, path, s.env.Stdin, o)
}

// fromLine returns the line at which a file begins: --from-line applies to the first
// file only.
func (s *sender) fromLine(path string) uint32 {
	if path != s.files[0] {
		return 0
	}
	return s.input.FromLine
}

// connect waits for the broker and the stream.
func (s *sender) connect(ctx context.Context, cancel context.CancelCauseFunc) (*stream.Conn, error) {
	if s.timeout > 0 {
		late := time.AfterFunc(s.timeout, func() { cancel(&timeoutError{s.timeout, "no broker with the queue"}) })
		defer late.Stop()
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s/%d", host, os.Getpid())
	conn, err := stream.Connect(ctx, s.server.Config("producer", "turnstile producer "+name, s.log))
	if err != nil {
		return nil, err
	}
	s.pub, err = conn.Publisher(ctx, stream.PublisherOptions{
		Stored: s.stored(), Compress: s.compress, Done: s.done,
		WhenFull: "is a consumer running? start one: consumer --db FILE",
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if s.summary, err = conn.AnnounceAcks(name, s.pub); err != nil {
		return nil, errors.Join(err, s.pub.Close(), conn.Close())
	}
	return conn, nil
}

// sendFiles sends all files, or as many rows as --limit allows.
func (s *sender) sendFiles(ctx context.Context) error {
	left := s.limit // 0: no limit
	for i, path := range s.files {
		s.file, s.line = i, 0
		n, err := s.sendFile(ctx, path, left)
		if err != nil {
			return err
		}
		if s.limit == 0 {
			continue
		}
		if left -= n; left <= 0 {
			return nil
		}
	}
	return nil
}

// sendFile sends up to limit rows of a file; 0 means all.
func (s *sender) sendFile(ctx context.Context, path string, limit int64) (sent int64, err error) {
	file, err := s.open(ctx, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if mta.IsStream(path) {
		cli.LogColumns(s.log, file)
	}
	var chunks chunkReader = file
	if s.order == "time" {
		sorted, err := orderByTime(ctx, file, int64(s.fromLine(path)))
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, sorted.Close()) }()
		s.addBlank(sorted.blank)
		s.schedule.postpone(0, 0) // no row was late while the file was sorted
		chunks = sorted
	}
	maxBytes := max(1, s.message-stream.Overhead(file.Source(), file.Header()))
	for limit == 0 || sent < limit {
		n, err := s.maxRecords(ctx, limit, sent)
		if err != nil {
			return sent, err
		}
		reading := time.Now()
		chunk, err := chunks.Next(maxBytes, n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sent, err
		}
		s.granted -= int64(chunk.Records)
		if time.Since(reading) > slowRead {
			s.schedule.postpone(max(0, s.granted), 0)
			s.granted = 0
		}
		if err := s.sendChunk(ctx, chunk); err != nil {
			return sent, err
		}
		sent += int64(chunk.Records)
		if s.progress != nil {
			s.progress.Set(s.bytesRead+file.Offset(), s.doneRows())
		}
	}
	s.bytesRead += file.Offset()
	return sent, nil
}

// maxRecords returns how many rows the next message may have; 0 means no limit.
// At a pace it waits until rows are due. If more are due than fit a message, or
// if they are not adjacent, the next messages follow without a wait.
func (s *sender) maxRecords(ctx context.Context, limit, sent int64) (n int, err error) {
	if !s.pace.unlimited() && s.granted <= 0 {
		if s.granted, err = s.schedule.wait(ctx, s.pub.WaitAcked); err != nil {
			return 0, err
		}
	}
	switch {
	case s.pace.unlimited() && limit == 0:
		return 0, nil
	case s.pace.unlimited():
		return int(limit - sent), nil
	case limit == 0:
		return int(s.granted), nil
	}
	return int(min(s.granted, limit-sent)), nil
}

func (s *sender) sendChunk(ctx context.Context, c mta.Chunk) error {
	s.line = c.Line
	if c.Records == 0 {
		s.addBlank(int64(c.Blank))
	} else {
		s.schedule.send(c.Records)
		if err := s.pub.Publish(ctx, c); err != nil {
			return err
		}
	}
	if s.order == "time" { // the next row may be anywhere; this one is sent again
		return ctx.Err()
	}
	s.line += int64(bytes.Count(c.Data, []byte{'\n'}))
	if c.Length != 0 {
		s.line++
	}
	return ctx.Err()
}

// addBlank counts blank records, which are not sent.
func (s *sender) addBlank(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Blank += n
	s.result.Files[s.file].Blank += n
}

// done counts a message that is done. At a limited pace it logs it.
func (s *sender) done(r stream.Receipt) {
	s.mu.Lock()
	s.result.add(r)
	for i := range s.result.Files {
		if f := &s.result.Files[i]; f.Source == r.Chunk.Source {
			f.add(r)
		}
	}
	s.mu.Unlock()
	if !s.pace.unlimited() {
		s.rows.add(r)
	}
}

// watchPace reports when the rate is not reached. It returns a function that ends
// the reports.
func (s *sender) watchPace(ctx context.Context, conn *stream.Conn) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.schedule.reportLate(ctx, s.log, s.doneRows, conn.Connected, s.pub.RoundTrip()) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// enforceTimeout cancels the command when no row is done for --timeout. It
// returns a function that ends the check.
func (s *sender) enforceTimeout(cancel context.CancelCauseFunc) (stop func()) {
	tick := time.NewTicker(min(100*time.Millisecond, s.timeout))
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				if s.pub.Stalled() > s.timeout {
					cancel(&timeoutError{s.timeout, "no row was " + s.confirm})
					return
				}
			case <-ended:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(ended)
	}
}
