package main

// Several ways to do the same, one after the other and again: what the
// machine does beside slows all of them, and the ratio of a round stays.

import (
	"context"
	"fmt"
)

// A subject is one way to do it.
type subject struct {
	name string
	run  func(ctx context.Context, in input, dir string) (sample, error)
}

// A sample is what one run took.
type sample struct {
	seconds   float64
	stored    *float64 // until every row was committed, where that is not the end
	database  int64    // bytes
	processes []usage
}

// An outcome is what all runs of a subject took.
type outcome struct {
	Name      string  `json:"name"`
	Seconds   spread  `json:"seconds"`
	Rate      float64 `json:"rows_per_second"`
	Stored    *spread `json:"stored_seconds"` // until every row was committed; null: at the end
	Database  int64   `json:"database_bytes"` // the last run's
	CPU       float64 `json:"cpu_seconds"`    // of all processes; a median, as theirs
	Processes []usage `json:"processes"`      // the median of the CPU seconds, the highest of the peaks
	Ratio     *spread `json:"ratio"`          // how many times as long as the first subject of its round
}

// A comparison is what one file came to.
type comparison struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Rows     int       `json:"rows"`
	Rounds   int       `json:"rounds"`
	Outcomes []outcome `json:"outcomes"`
	Note     string    `json:"note"`
}

// alternate runs the subjects in turn. Before each run the file is read once,
// and all that is to be written is written.
func (b *bench) alternate(ctx context.Context, c comparison, in input, subjects []subject) error {
	samples := make([][]sample, len(subjects))
	for round := range b.pairs {
		for i, s := range subjects {
			got, err := b.once(ctx, in, s)
			if err != nil {
				return fmt.Errorf("%s, %s of %d rows: %w", c.Name, s.name, in.rows, err)
			}
			b.log.Info("measured", "what", c.Name, "way", s.name, "rows", in.rows, "round", round+1, "seconds", fmt.Sprintf("%.2f", got.seconds))
			samples[i] = append(samples[i], got)
		}
	}
	c.Rows, c.Rounds = in.rows, b.pairs
	for i, s := range subjects {
		o := summarise(s.name, in.rows, samples[i])
		if i > 0 {
			o.Ratio = ratios(samples[i], samples[0])
		}
		c.Outcomes = append(c.Outcomes, o)
	}
	b.report.Comparisons = append(b.report.Comparisons, c)
	return nil
}

func (b *bench) once(ctx context.Context, in input, s subject) (got sample, err error) {
	dir, err := b.scratch()
	if err != nil {
		return got, err
	}
	defer func() { err = b.remove(dir, err) }()
	if err := in.warm(); err != nil {
		return got, err
	}
	return s.run(ctx, in, dir)
}

func ratios(others, first []sample) *spread {
	var r []float64
	for i := range others {
		r = append(r, others[i].seconds/first[i].seconds)
	}
	s := spreadOf(r)
	return &s
}

func summarise(name string, rows int, samples []sample) outcome {
	var seconds, stored []float64
	for _, s := range samples {
		seconds = append(seconds, s.seconds)
		if s.stored != nil {
			stored = append(stored, *s.stored)
		}
	}
	o := outcome{Name: name, Seconds: spreadOf(seconds), Database: samples[len(samples)-1].database}
	o.Rate = float64(rows) / o.Seconds.Median
	if len(stored) > 0 {
		s := spreadOf(stored)
		o.Stored = &s
	}
	for i := range samples[0].processes {
		u := usage{Name: samples[0].processes[i].Name}
		var cpu []float64
		for _, s := range samples {
			p := s.processes[i]
			cpu = append(cpu, p.CPU)
			if p.Peak != nil && (u.Peak == nil || *p.Peak > *u.Peak) {
				u.Peak = p.Peak
			}
		}
		u.CPU = spreadOf(cpu).Median
		o.CPU += u.CPU
		o.Processes = append(o.Processes, u)
	}
	return o
}
