package main

// Sending: from the files to the queue, and what to do when it must end early.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// A rows is where chunks come from: a file, or a file put in order.
type rows interface {
	Next(maxBytes, maxRecords int) (mta.Chunk, error)
}

// A sender sends the files of a config, one after the other.
type sender struct {
	config
	env      cli.Env
	log      *slog.Logger
	pub      *stream.Publisher
	limiter  *rate.Limiter
	progress *cli.Progress

	begun  bool
	start  time.Time
	file   int    // being sent
	line   uint32 // the first of it that is not on its way
	before int64  // bytes of the files that are through

	mu     sync.Mutex // guards below, which the publisher writes too
	result report
}

// endWithin is how long what is in flight may take to be done after Ctrl-C.
const endWithin = time.Second

func newSender(c config, env cli.Env, log *slog.Logger) *sender {
	return &sender{
		config: c, env: env, log: log, limiter: c.pace.limiter(),
		result: report{counts: newCounts(c.stored()), Confirm: c.confirm, Files: []fileReport{}},
	}
}

// send sends all files. It looks into each of them before it sends a row.
func (s *sender) send(ctx context.Context) (err error) {
	size, err := s.look()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := s.connect(ctx, cancel)
	if err != nil {
		return s.ended(ctx, err)
	}
	defer func() { err = errors.Join(err, s.pub.Close(), conn.Close()) }()
	if s.pace.full() {
		s.progress = cli.NewProgress(s.env, s.log, "sending", size)
		defer s.progress.Done()
	}
	if s.timeout > 0 {
		defer s.watch(cancel)()
	}
	s.begun, s.start = true, time.Now()
	if err := s.sendFiles(ctx); err != nil {
		return s.ended(ctx, err)
	}
	return s.ended(ctx, s.pub.Flush(ctx))
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
	conn, err := stream.Connect(ctx, stream.Config{
		Servers: s.server.URLs, Role: "producer", Name: fmt.Sprintf("turnstile producer %s/%d", host, os.Getpid()),
		Creds: s.server.Creds, User: s.server.User, Password: s.server.Password, PasswordFile: s.server.PasswordFile,
		CA: s.server.CA, Cert: s.server.Cert, Key: s.server.Key, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	s.pub, err = conn.Publisher(ctx, stream.PublisherOptions{Stored: s.stored(), Done: s.done})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

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

// sendFile sends a file, or as many of its rows as may be (0: all).
func (s *sender) sendFile(ctx context.Context, path string, limit int64) (sent int64, err error) {
	file, err := s.open(ctx, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if path == "-" {
		sayColumns(s.log, file)
	}
	var from rows = file
	if s.order == "time" {
		sorted, err := sortByTime(ctx, file)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, sorted.Close()) }()
		s.blank(sorted.blank)
		from = sorted
	}
	room := max(1, s.message-stream.Overhead(file.Source(), file.Header()))
	for limit == 0 || sent < limit {
		chunk, err := from.Next(room, s.most(limit, sent))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sent, err
		}
		if err := s.sendChunk(ctx, chunk); err != nil {
			return sent, err
		}
		sent += int64(chunk.Records)
		if s.progress != nil {
			s.progress.Set(s.before+file.Offset(), s.rows())
		}
	}
	s.before += file.Offset()
	return sent, nil
}

// most is how many rows a message may have, 0 for as many as fit.
func (s *sender) most(limit, sent int64) int {
	switch {
	case !s.pace.full():
		return 1
	case limit == 0:
		return 0
	}
	return int(limit - sent)
}

func (s *sender) sendChunk(ctx context.Context, c mta.Chunk) error {
	s.line = c.Line
	if c.Records == 0 {
		s.blank(int64(c.Blank))
	} else {
		if err := s.limiter.Wait(ctx); err != nil {
			return err
		}
		if err := s.pub.Publish(ctx, c); err != nil {
			return err
		}
	}
	s.line += uint32(bytes.Count(c.Data, []byte{'\n'}))
	if c.Length != 0 {
		s.line++
	}
	return ctx.Err()
}

// blank counts records that have nothing to send.
func (s *sender) blank(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Blank += n
	s.result.Files[s.file].Blank += n
}

// done counts what the publisher has done, and logs the row when it is paced.
func (s *sender) done(r stream.Receipt) {
	s.mu.Lock()
	s.result.add(r)
	for i := range s.result.Files {
		if f := &s.result.Files[i]; f.Source == r.Chunk.Source {
			f.add(r)
		}
	}
	s.mu.Unlock()
	if s.pace.full() {
		return
	}
	what, level := "queued", slog.LevelInfo
	switch o := r.Outcome; {
	case o.Rejected > 0:
		what, level = "rejected", slog.LevelWarn
	case o.AlreadyThere > 0:
		what = "already there"
	case o.Stored > 0:
		what = "stored"
	}
	s.log.Log(context.Background(), level, what, "line", r.Chunk.Line, "took", r.Took, "row", strings.TrimRight(string(r.Chunk.Data), "\r\n"))
}

// watch gives up when nothing gets done for too long. It returns what ends it.
func (s *sender) watch(cancel context.CancelCauseFunc) (stop func()) {
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

// look opens each file once: one that can't be used is refused before a row of
// any is sent. It returns how many bytes there are, -1 if that is not known.
func (s *sender) look() (size int64, err error) {
	named := map[string]string{}
	for _, path := range s.files {
		if path == "-" {
			s.result.Files = append(s.result.Files, fileReport{path, s.input.Source, newCounts(s.stored())})
			size = -1
			continue
		}
		file, err := s.open(context.Background(), path)
		if err != nil {
			return 0, missing(err, path)
		}
		source, n := file.Source(), file.Size()
		sayColumns(s.log, file)
		if err := file.Close(); err != nil {
			return 0, err
		}
		if other, ok := named[source]; ok {
			return 0, cli.Usagef("send them one by one, each with a --source of its own",
				"%s and %s would be one data set, %s", other, path, source)
		}
		named[source] = path
		s.result.Files = append(s.result.Files, fileReport{path, source, newCounts(s.stored())})
		if size >= 0 && n >= 0 {
			size += n
		} else {
			size = -1
		}
	}
	return size, nil
}

func missing(err error, path string) error {
	if errors.Is(err, os.ErrNotExist) && path == sample {
		return cli.WithHint(err, "name a FILE, or start it where the sample is")
	}
	return err
}

// open opens a file. Only the first is taken from a line on.
func (s *sender) open(ctx context.Context, path string) (*mta.File, error) {
	o := s.input
	if path != s.files[0] {
		o.FromLine = 0
	}
	return mta.OpenFile(path, stdin(ctx, s.env.Stdin), o)
}

// sayColumns says once which columns of a file are passed over, and which it
// does not have.
func sayColumns(log *slog.Logger, file *mta.File) {
	if ignored := file.Columns().Ignored(); len(ignored) > 0 {
		log.Info("columns that are not stored", "source", file.Source(), "columns", strings.Join(ignored, ", "))
	}
	if absent := file.Columns().Absent(); len(absent) > 0 {
		log.Info("columns the file does not have are stored as NULL", "source", file.Source(), "columns", strings.Join(absent, ", "))
	}
}
