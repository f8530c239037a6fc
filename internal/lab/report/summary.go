package report

// A summary is the report for a page: the numbers of the JSON document, and
// sentences for a reader who has never heard of SQLite's locks.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Summary is the report without its recordings. Its JSON has the keys of the
// JSON document; "about" is null, and "findings" is without the recommendation.
type Summary struct {
	document
	Headline       string   `json:"headline"`       // what happened, in a sentence
	Captions       []string `json:"captions"`       // two sentences for each trial
	Recommendation string   `json:"recommendation"` // "" if the run allows none
	Check          string   `json:"check"`          // the command that checks it
}

// Summary returns the summary of the trials so far.
func (r Report) Summary() Summary {
	s := Summary{document: r.document(), Headline: headline(r.Trials), Captions: []string{}}
	s.About = nil
	s.Findings = append([]string{}, Findings(r.Trials)...)
	for i, t := range r.Trials {
		s.Trials[i].Recording = nil
		s.Captions = append(s.Captions, caption(t))
	}
	if a, ok := recommend(r.Trials); ok {
		s.Recommendation, s.Check = a.Text, r.checkCommand(a)
	}
	return s
}

// Summary returns the summary of a recording of watch: a headline.
func (r *Recording) Summary() Summary {
	s := Report{}.Summary()
	s.Headline = r.headline()
	return s
}

// headline names the longest hold that others may have had to wait for.
func (r *Recording) headline() string {
	var who string
	var longest time.Duration
	for _, lane := range r.Lanes {
		for _, e := range lane.Events {
			if reads := e.Lock == "shared" || e.Lock == "wal-read"; !reads && e.Held() > longest {
				who, longest = laneTitle(lane), e.Held()
			}
		}
	}
	if who == "" {
		return "Nobody was seen to hold a lock that blocks writers."
	}
	return fmt.Sprintf("Process %s held a lock longest, for %s without a pause.", who, roundTime(longest))
}

// headline says what happened in the trial that lost the most rows, else in
// the one with the longest wait.
func headline(trials []Trial) string {
	if len(trials) == 0 {
		return ""
	}
	worst := slices.MaxFunc(trials, func(a, b Trial) int {
		// The introduction is small, so that it can be seen row by row.
		return cmp.Or(compareBool(a.Introduction && a.Lost > 0, b.Introduction && b.Lost > 0),
			cmp.Compare(a.Lost, b.Lost), cmp.Compare(valueOf(a.Wait.Max), valueOf(b.Wait.Max)))
	})
	prefix := ""
	if len(trials) > 1 && !worst.Introduction {
		prefix = "With " + worst.Strategy + ", "
		if slices.ContainsFunc(trials, func(t Trial) bool { return !t.Introduction && t.Processes != worst.Processes }) {
			prefix = fmt.Sprintf("With %s and %s, ", worst.Strategy, count(worst.Processes, "process", "processes"))
		}
	}
	return capitalize(prefix + outcomeSentence(worst))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// outcomeSentence begins in lower case, unless with a number.
func outcomeSentence(t Trial) string {
	if t.Lost == 0 || len(t.Busy) == 0 {
		return storedSentence(t)
	}
	s := fmt.Sprintf("%s of %s were lost: ", words(t.Lost), count(t.Asked, "row", "rows"))
	if t.Asked <= 12 {
		s = fmt.Sprintf("%s of %s rows were lost: ", words(t.Lost), words(t.Asked))
	}
	if t.Lost == 1 {
		s = strings.Replace(s, " were ", " was ", 1)
	}
	if who := mainHolder(t); who != "" {
		s += fmt.Sprintf("while %s held the lock, ", who)
	}
	return s + gaveUp(t) + "."
}

// storedSentence is about a trial that lost nothing to SQLITE_BUSY.
func storedSentence(t Trial) string {
	s := fmt.Sprintf("all %s are stored", count(t.Stored, "row", "rows"))
	if t.Stored < t.Asked {
		s = fmt.Sprintf("%s of %s rows are stored", thousands(t.Stored), thousands(t.Asked))
	}
	if t.Wait.Max == nil {
		return s + "."
	}
	const worthNaming = 100 // milliseconds
	if max := *t.Wait.Max; max < worthNaming {
		return s + fmt.Sprintf(", and none waited longer than %s.", roundMillis(max))
	}
	return s + fmt.Sprintf(", but %s waited %s for one of its rows.", t.Wait.Worst, roundMillis(*t.Wait.Max))
}

// mainHolder returns who held the lock most during the longest wait that ended
// with SQLITE_BUSY.
func mainHolder(t Trial) (process string) {
	b := longest(t.Busy)
	if len(b.Holders) == 0 {
		return ""
	}
	return b.Holders[0].Process
}

// gaveUp says which processes failed, and after how long.
func gaveUp(t Trial) string {
	var who []string
	for _, p := range t.Processed {
		if p.Busy > 0 {
			who = append(who, p.Process)
		}
	}
	const most = 4
	names := joinNames(who)
	if len(who) > most {
		names = fmt.Sprintf("%d of %d processes", len(who), t.Processes)
	}
	if t.BusyTimeout == 0 {
		return names + " gave up at once"
	}
	return fmt.Sprintf("%s gave up after %s", names, roundTime(t.BusyTimeout))
}

// caption says in two sentences what the picture of a trial shows and what came
// of it.
func caption(t Trial) string { return captionLanes(t) + " " + captionOutcome(t) }

func captionLanes(t Trial) string {
	s := Find(t.Strategy)
	switch {
	case s.Queue.HasWriter():
		return "The processes hand their rows to a queue and only the writer opens the database, so none of them waits for its lock."
	case s.Turns:
		return "Each process waits for its turn outside of SQLite, in order, so that it finds the lock free when it asks."
	case s.Queue == FromQueue:
		return fmt.Sprintf("The rows wait in a queue, but %s take them out and write at once%s.",
			count(t.Processes, "process", "processes"), contendedFor(t))
	case t.LockWait.Contended < time.Millisecond && t.Lost == 0 && !t.starved():
		return "Only one process can hold the lock, but each holds it so briefly that hardly anybody waits."
	}
	return "Only one process can hold the lock at a time" + contendedFor(t) + "."
}

// contendedFor completes a sentence about a trial.
func contendedFor(t Trial) string {
	if t.LockWait.Contended <= 0 {
		return ""
	}
	if t.Seconds == nil {
		return fmt.Sprintf(": for %s it was held while others waited", roundTime(t.LockWait.Contended))
	}
	return fmt.Sprintf(": for %s of %s it was held while others waited", roundTime(t.LockWait.Contended), roundSeconds(*t.Seconds))
}

func captionOutcome(t Trial) string {
	switch {
	case t.Interrupted:
		return fmt.Sprintf("The run was interrupted when %s were stored.", count(t.Stored, "row", "rows"))
	case t.Lost > 0 && t.BusyCount() > 0:
		return fmt.Sprintf("%s, where SQLite answered \"database is locked\" (the crosses; each goes on with its next row), so %s of %s rows are missing.",
			capitalize(gaveUp(t)), thousands(t.Lost), thousands(t.Asked))
	case t.Lost > 0:
		return fmt.Sprintf("%s of %s rows are missing.", thousands(t.Lost), thousands(t.Asked))
	case t.starved():
		when := "when the first process was done"
		if t.For > 0 {
			when = "when time was up"
		}
		return fmt.Sprintf("The lock has no waiting line: %s, one had stored %s and another %s.",
			when, count(t.MaxRows, "row", "rows"), thousands(t.MinRows))
	}
	return capitalize(storedSentence(t))
}

// words writes small numbers out.
func words(n int) string {
	names := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
	if n < len(names) {
		return names[n]
	}
	return thousands(n)
}

// Question asks the reader to predict the outcome.
type Question struct {
	Text    string   `json:"text"`
	Choices []string `json:"choices"` // to choose from; empty: a number from 0 to Most
	Most    int      `json:"most"`
	Answer  string   `json:"answer"` // one of the choices, or the number
}

// Question returns what to ask before the outcome is shown. It returns nil if
// there is nothing to predict.
func (r Report) Question() *Question {
	if r.Interrupted {
		return nil
	}
	first, rest := r.splitIntroduction()
	if n := len(first); n > 0 {
		return countQuestion(first[n-1])
	}
	if len(rest) == 1 && rest[0].For == 0 && rest[0].Asked > 0 {
		return countQuestion(rest[0])
	}
	groups := groupBySize(rest)
	if len(groups) == 0 || len(groups[0].trials) < 2 {
		return nil
	}
	return fastestQuestion(groups[0])
}

func countQuestion(t Trial) *Question {
	return &Question{
		Text: fmt.Sprintf("%s write %s each into one SQLite file, all at once. Each %s. "+
			"A process that waits %s for the lock gives up on its row. How many of the %s rows are stored?",
			capitalize(words(t.Processes)+" processes"), count(t.Rows, "row", "rows"), holdsFor(t), exactTime(t.BusyTimeout), thousands(t.Asked)),
		Choices: []string{}, Most: t.Asked, Answer: fmt.Sprint(t.Stored),
	}
}

func holdsFor(t Trial) string {
	if t.Task == 0 {
		return "holds the lock only while it writes"
	}
	return fmt.Sprintf("has %s of work to do for each row, %s", exactTime(t.Task), Find(t.Strategy).Where)
}

func fastestQuestion(g group) *Question {
	q := &Question{
		Text:    fmt.Sprintf("%s. Which way to write stores the most rows a second?", capitalize(g.Setting.Size())),
		Choices: []string{},
	}
	best := slices.MaxFunc(g.trials, func(a, b Trial) int { return cmp.Compare(a.Rate, b.Rate) })
	for _, t := range g.trials {
		q.Choices = append(q.Choices, t.Strategy)
	}
	q.Answer = best.Strategy
	return q
}
