package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"turnstile/internal/lab/report"
)

// spool keeps the events of one process in a file, so that the memory of a
// trial does not grow with its length. One goroutine writes it; it is read when
// the process is gone.
type spool struct {
	path string
	file *os.File
	out  *bufio.Writer
	err  error // of the last reading; the sequence of events can't return it
}

// spoolDir is the folder of the spools in the folder of a trial.
func spoolDir(dir string) string { return filepath.Join(dir, "events") }

func createSpool(dir, process string) (*spool, error) {
	if err := os.MkdirAll(spoolDir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("lab: keep the events of %s: %w", process, err)
	}
	path := filepath.Join(spoolDir(dir), process)
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("lab: keep the events of %s: %w", process, err)
	}
	return &spool{path: path, file: file, out: bufio.NewWriterSize(file, 64<<10)}, nil
}

// add appends the line of an event, without its end.
func (s *spool) add(line []byte) error {
	_, err := s.out.Write(line)
	return errors.Join(err, s.out.WriteByte('\n'))
}

// finish ends the writing.
func (s *spool) finish() error { return errors.Join(s.out.Flush(), s.file.Close()) }

// events reads the events from the beginning. What goes wrong is in err.
func (s *spool) events() iter.Seq[report.Event] {
	return func(yield func(report.Event) bool) {
		s.err = errors.Join(s.err, s.read(yield))
	}
}

func (s *spool) read(yield func(report.Event) bool) (err error) {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := parseEvent(line[:len(line)-1])
		if err != nil || !yield(e) {
			return err
		}
	}
}
