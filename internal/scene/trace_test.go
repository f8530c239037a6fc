package scene

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

type traceEvent struct {
	Phase string  `json:"ph"`
	Name  string  `json:"name"`
	Kind  string  `json:"cat"`
	PID   int     `json:"pid"`
	TID   int     `json:"tid"`
	At    float64 `json:"ts"`
	Dur   float64 `json:"dur"`
	Args  struct {
		Code       *int   `json:"code"`
		Result     string `json:"result"`
		Unfinished bool   `json:"unfinished"`
	} `json:"args"`
}

func (e traceEvent) end() float64 { return e.At + e.Dur }

func (e traceEvent) has(at float64) bool { return e.At <= at && at < e.end() }

func parseTrace(t *testing.T, stories ...Story) []traceEvent {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTrace(&b, stories); err != nil {
		t.Fatal(err)
	}
	var p struct {
		Events []traceEvent `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p.Events
}

// TestTrace: a trace of a story that was played has each of its steps, slices
// nest, and arrows go from a hold to a hold.
func TestTrace(t *testing.T) {
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			if s.Unsupported != "" {
				t.Skip(s.Unsupported)
			}
			story := play(t, s)
			events := parseTrace(t, story)
			nests(t, events)
			var statements, shell, errors, wantStatements, wantShell, wantErrors int
			for _, e := range events {
				switch {
				case e.Phase == "X" && e.Kind == "statement":
					statements++
				case e.Phase == "i" && e.TID == len(story.Acts[e.PID-1].Actors)+1:
					shell++
				case e.Phase == "i":
					errors++
				case e.Phase == "s" || e.Phase == "f":
					if !slices.ContainsFunc(events, func(h traceEvent) bool {
						return h.Name == "has the lock" && h.PID == e.PID && h.TID == e.TID && h.has(e.At)
					}) {
						t.Errorf("no hold around %+v", e)
					}
				}
			}
			for _, act := range story.Acts {
				for _, e := range act.Steps {
					switch {
					case e.Kind == kindShell:
						wantShell++
					case e.Kind != kindStarted:
						wantStatements++
					}
					if e.Code != nil && *e.Code != 0 {
						wantErrors++
					}
				}
			}
			if statements != wantStatements || shell != wantShell || errors != wantErrors {
				t.Errorf("%d statements, %d marks of the shell, %d errors; the story has %d, %d, %d",
					statements, shell, errors, wantStatements, wantShell, wantErrors)
			}
		})
	}
}

// nests checks that of two slices of a thread one is in the other, or after it.
func nests(t *testing.T, events []traceEvent) {
	t.Helper()
	for i, a := range events {
		for _, b := range events[i+1:] {
			if a.Phase != "X" || b.Phase != "X" || a.PID != b.PID || a.TID != b.TID {
				continue
			}
			apart := a.end() <= b.At || b.end() <= a.At
			inside := a.At <= b.At && b.end() <= a.end() || b.At <= a.At && a.end() <= b.end()
			if !apart && !inside {
				t.Errorf("%q and %q overlap:\n%+v\n%+v", a.Name, b.Name, a, b)
			}
		}
	}
}

// TestTraceOfAct: who waits, who reads, and who has the lock, to the microsecond.
func TestTraceOfAct(t *testing.T) {
	step := func(at float64, actor, kind, text string, code int, waited float64) Step {
		e := Step{AtMS: at, Actor: actor, Kind: kind, Text: text}
		if kind == kindStatement || kind == kindEnded {
			e.Code, e.CodeName, e.WaitedMS = &code, new("a code"), &waited
		}
		return e
	}
	events := parseTrace(t, Story{Name: "fixed", Acts: []Act{{Title: "one", Actors: []Actor{{Name: "A"}, {Name: "B"}, {Name: "C"}}, Steps: []Step{
		step(0, "A", kindStatement, "BEGIN", 0, 0.1),
		step(1, "A", kindStatement, "SELECT 1", 0, 0.1),
		step(2, "A", kindStatement, "UPDATE t", 0, 0),
		step(3, "B", kindStarted, "BEGIN IMMEDIATE", 0, 0),
		step(4, "C", kindStatement, "BEGIN IMMEDIATE", 5, 10),
		step(20, "A", kindStatement, "COMMIT", 0, 1),
		step(23, "B", kindEnded, "BEGIN IMMEDIATE", 0, 19),
		step(24, "C", kindStarted, "BEGIN IMMEDIATE", 0, 0),
		step(30, "shell", kindShell, "kill -KILL B", 0, 0),
		step(40, "shell", kindShell, "the end", 0, 0),
	}}}})
	nests(t, events)
	type span struct {
		tid      int
		name     string
		from, to float64
	}
	var got []span
	for _, e := range events {
		if e.Phase == "X" && e.Kind != "statement" || e.Args.Unfinished || e.Phase == "s" || e.Phase == "f" || e.Phase == "i" && e.TID < 4 {
			got = append(got, span{e.TID, e.Name, e.At, e.end()})
		}
	}
	want := []span{
		{3, "waits for the lock", 4000, 14000},
		{3, "SQLITE_BUSY (5)", 14000, 14000},
		{1, "reads", 1100, 21000},
		{1, "has the lock", 2001, 21000},
		{2, "waits for the lock", 3000, 23000},
		{2, "has the lock", 23000, 30000},
		{3, "BEGIN IMMEDIATE", 24000, 40000}, // it never ended
		{1, "handed over", 20999.5, 20999.5},
		{2, "handed over", 23000, 23000},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}
