package report

import (
	"fmt"
	"slices"
	"strings"

	"turnstile/internal/screen"
)

// Strategy describes one way for many processes to get their rows into one
// file. What it does is in package lab, in the file of its name.
type Strategy struct {
	Name  string
	Does  string // in one line, for a person to read
	Where string // where its task happens, to complete "the task runs ..."

	Journal   string // journal mode of the database: "delete" or "wal"
	NoTimeout bool   // the busy timeout is 0 whatever the setting says
	Turns     bool   // processes take turns, so that none asks for the lock while another has it
	Queue     Queue
}

// Queue says what a strategy needs a broker and a writer for.
type Queue int

// How a strategy uses a queue. The broker runs in the process of the single
// writer, as in an application that embeds it.
const (
	NoQueue   Queue = iota
	FromQueue       // the queue is filled before, and the processes take rows and write them
	ToQueue         // the processes publish, and a single writer stores
	Request         // the processes ask the single writer, which answers after the commit
)

// HasWriter says whether a process of its own writes for all.
func (q Queue) HasWriter() bool { return q == ToQueue || q == Request }

// strategies are all strategies, the simplest first. To add one, add it here,
// and in package lab a file with its start function and an entry in starters.
var strategies = []Strategy{
	{
		Name:    "direct",
		Does:    "each process opens one connection per row; rollback journal, deferred transaction",
		Where:   "between INSERT and COMMIT",
		Journal: "delete",
	},
	{
		Name:    "no-timeout",
		Does:    "direct with SQLite's default busy timeout, 0: fails at once if the database is locked",
		Where:   "between INSERT and COMMIT",
		Journal: "delete", NoTimeout: true,
	},
	{
		Name:    "wal",
		Does:    "each process keeps one connection; write-ahead log, deferred transaction",
		Where:   "between INSERT and COMMIT",
		Journal: "wal",
	},
	{
		Name:    "immediate",
		Does:    "wal with BEGIN IMMEDIATE: the usual advice",
		Where:   "between BEGIN and COMMIT",
		Journal: "wal",
	},
	{
		Name:    "short",
		Does:    "immediate with the task moved out of the transaction: the cure without a queue",
		Where:   "before BEGIN",
		Journal: "wal",
	},
	{
		Name:    "turns",
		Does:    "immediate, but two lock files put the processes in a queue: fair, without a server",
		Where:   "between BEGIN and COMMIT",
		Journal: "wal", Turns: true,
	},
	{
		Name:    "consumers",
		Does:    "the rows wait in a queue; all processes consume it, and each writes as wal does",
		Where:   "between INSERT and COMMIT",
		Journal: "wal", Queue: FromQueue,
	},
	{
		Name:    "queued",
		Does:    "a row is done when it is in the durable queue; a single writer stores it later",
		Where:   "before publishing, in all processes at once",
		Journal: "wal", Queue: ToQueue,
	},
	{
		Name:    "confirmed",
		Does:    "a row is done when the single writer has committed it (group commit)",
		Where:   "before the request, in all processes at once",
		Journal: "wal", Queue: Request,
	},
}

// Names returns the names of all strategies.
func Names() []string {
	var names []string
	for _, s := range strategies {
		names = append(names, s.Name)
	}
	return names
}

// Known says whether there is a strategy of that name.
func Known(name string) bool { return rank(name) >= 0 }

// Find returns the strategy of that name, or one that has only the name.
func Find(name string) Strategy {
	i := rank(name)
	if i < 0 {
		return Strategy{Name: name}
	}
	return strategies[i]
}

// rank returns the place of a strategy in the list, -1 if it has none.
func rank(name string) int {
	return slices.IndexFunc(strategies, func(s Strategy) bool { return s.Name == name })
}

// Manual describes every strategy, in lines of at most so many columns.
func Manual(columns int) string { return describe(strategies, columns) }

func describe(list []Strategy, columns int) string {
	wide := 0
	for _, s := range list {
		wide = max(wide, len(s.Name))
	}
	var b strings.Builder
	for _, s := range list {
		rest := strings.Repeat(" ", wide+4)
		b.WriteString(screen.Wrap(columns, fmt.Sprintf("  %-*s  ", wide, s.Name), rest, s.Does+"; the task runs "+s.Where))
	}
	return b.String()
}
