package lab

// What a strategy is, and the list of them. A new one is one new file.

import (
	"slices"
	"strings"
)

// A Strategy is one way for many processes to get their rows into one file.
type Strategy struct {
	Rank  int // its place in lists
	Name  string
	Does  string // in one line, for a person to read
	Where string // where its task happens, to complete "the task happens ..."

	Journal   string // journal mode of the database: "delete" or "wal"
	NoTimeout bool   // the busy timeout is 0 whatever the setting says
	Locked    bool   // the task happens while the lock is held
	Queue     Queue

	// start prepares a process, before the barrier.
	start func(p *process) (worker, error)
}

// A Queue says what a strategy needs a broker and a writer for.
type Queue int

// How a strategy uses a queue.
const (
	NoQueue   Queue = iota
	FromQueue       // the rows stand in a queue, and the processes take and write them
	ToQueue         // the processes publish, and one writer stores
	Request         // the processes ask the one writer, and it answers after the commit
)

// writer says whether one process apart writes for all.
func (q Queue) writer() bool { return q == ToQueue || q == Request }

// A worker is what a strategy does with rows, in its process.
type worker struct {
	// take waits for the process's next rows: none at the end. Nil: the rows
	// are the process's own.
	take func() ([]row, error)
	// write does one transaction of rows, the tasks included. It has to be
	// done, or given up, when write returns.
	write func(rows []row) error
	// close ends what start began; nil: nothing to end.
	close func() error
}

var strategies []Strategy

// register is called by each strategy's file.
func register(s Strategy) struct{} {
	strategies = append(strategies, s)
	slices.SortFunc(strategies, func(a, b Strategy) int { return a.Rank - b.Rank })
	return struct{}{}
}

// Strategies lists all strategies, the simplest first.
func Strategies() []Strategy { return slices.Clone(strategies) }

// Names lists their names.
func Names() []string {
	var names []string
	for _, s := range strategies {
		names = append(names, s.Name)
	}
	return names
}

// Known says whether there is a strategy of that name.
func Known(name string) bool { return slices.Contains(Names(), name) }

func find(name string) Strategy {
	i := slices.IndexFunc(strategies, func(s Strategy) bool { return s.Name == name })
	if i < 0 {
		return Strategy{Name: name}
	}
	return strategies[i]
}

// Manual describes every strategy, a line each.
func Manual() string {
	var b strings.Builder
	for _, s := range strategies {
		b.WriteString("  " + s.Name + strings.Repeat(" ", 12-len(s.Name)) + s.Does + ";\n" +
			strings.Repeat(" ", 14) + "the task happens " + s.Where + "\n")
	}
	return b.String()
}
