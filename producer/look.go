package main

// Looking into all files before a row of any is sent.

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
)

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
