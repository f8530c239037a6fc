package lab

import (
	"strings"
	"testing"
	"time"
)

// TestFindings holds every sentence to the numbers that earn it, and to their
// absence.
func TestFindings(t *testing.T) {
	lost := func(t *Trial) { t.Stored, t.Unaccounted = 38, 2 }
	dead := func(t *Trial) { t.Stored, t.Lost, t.Deaths = 35, 5, []Death{{"P3", "signal: killed", 4}} }
	late := func(t *Trial) { t.TimedUp, t.Deadline = true, 10*time.Second }
	apart := func(d time.Duration, spreads ...time.Duration) func(*Trial) {
		return func(t *Trial) { t.Spread, t.Apart = d, spreads }
	}
	full := func(t *Trial) { t.Stored, t.Lost, t.Errors = 39, 1, map[int]int{13: 1} }
	tail := func(t *Trial) { t.Wait.P99, t.Wait.Max = ptr(0.6), ptr(5031) }
	byTime := func(t *Trial) { t.For, t.Rows = 5*time.Second, 0 }
	rate := func(t *Trial) { t.Offered = 200 }

	const (
		arrived   = "no one was locked out."
		starve    = "some starve"
		hides     = "hides it"
		inside    = "work one after another"
		thatIs    = "Of what"
		lockBack  = "bring the lock back"
		costs     = "ueued costs"
		gains     = "as many as the best strategy without a queue"
		commits   = "commits for all who wait"
		noPay     = "does not pay"
		noQueue   = "o queue is needed"
		omission  = "coordinated omission"
		isNoise   = "the difference is noise"
		oneRunOf  = "one run of each can't tell them apart"
		distrust  = "o not trust"
		itPays    = "It pays from"
		neverPays = "never faster"
	)
	for _, test := range []struct {
		name   string
		trials []Trial
		want   []string
		absent []string
	}{
		{"nothing", nil, nil, []string{"."}},
		{
			"all arrived",
			[]Trial{made("direct", 100, noTask), made("short", 110, noTask)},
			[]string{"Every row of every strategy arrived, and " + arrived},
			[]string{starve, inside, omission, costs, noQueue, distrust},
		},
		{"unaccounted", []Trial{made("direct", 100, lost)}, []string{"Do not trust direct: 2 rows"}, []string{arrived}},
		{"died", []Trial{made("direct", 100, dead)}, []string{"P3 of direct died (signal: killed) after 4 rows."}, []string{arrived}},
		{"deadline", []Trial{made("direct", 100, late)}, []string{"deadline of 10 s ended direct early"}, nil},
		{
			"run again",
			[]Trial{made("direct", 100, apart(3*ms, 63*ms))},
			[]string{"run again, because its processes had started 63 ms apart"},
			[]string{"too busy"},
		},
		{"never together", []Trial{made("direct", 100, apart(70*ms, 63*ms, 80*ms, 70*ms))}, []string{"70 ms apart, 3 times in a row"}, []string{"run again"}},
		{
			"locked out",
			[]Trial{made("direct", 100, lockedOutOnce)},
			[]string{`With direct 1 of 40 rows is lost to "database is locked". P2 waited 5.0 s while the lock was with P1 for 4.1 s in 12 turns and P3 for 0.80 s.`},
			[]string{arrived, starve},
		},
		{"a stranger", []Trial{made("direct", 100, lockedOutOnce, func(t *Trial) {
			t.Lockouts[0].Seen = &Seen{Process: "sqlite3, not of this trial", PID: 4711, Foreign: true}
		})}, []string{"held by process 4711 (sqlite3, not of this trial)"}, nil},
		{"another error", []Trial{made("direct", 100, full)}, []string{"1 transaction failed: database or disk is full (13)"}, []string{arrived, "locked\""}},
		{
			"starved",
			[]Trial{made("immediate", 100, starved)},
			[]string{starve, "P1 had all its 10 rows when P2 had none", "0.83 s (immediate, P2)", arrived},
			[]string{hides},
		},
		{"uneven, but quick", []Trial{made("immediate", 100, starved, worst(40))}, nil, []string{starve}},
		{"long tail", []Trial{made("immediate", 100, tail)}, []string{starve, "p99 (0.60 ms) hides it"}, nil},
		{"a slow row among slow rows", []Trial{made("immediate", 100, tail, func(t *Trial) { t.Wait.P99 = ptr(900) })}, nil, []string{starve, hides}},
		{"a tail that no one feels", []Trial{made("immediate", 100, func(t *Trial) { t.Wait.P99, t.Wait.Max = ptr(0.6), ptr(105) })}, nil, []string{starve, hides}},
		{"starved by time", []Trial{made("immediate", 100, starved, byTime)}, []string{"P2 got 0 rows and P1 10"}, nil},
		{"locked out is not starved", []Trial{made("direct", 100, starved, lockedOutOnce)}, []string{"lost to"}, []string{starve}},
		{
			"task inside",
			[]Trial{made("direct", 40), made("short", 160)},
			[]string{inside, "40 x 20 ms is 0.80 s at the least; direct took 1.0 s", "160 rows/s instead of 40, 4.0 times as many"},
			[]string{thatIs},
		},
		{"task inside costs nothing", []Trial{made("direct", 150), made("short", 160)}, nil, []string{inside}},
		{"no task", []Trial{made("direct", 40, noTask), made("short", 160, noTask)}, nil, []string{inside}},
		{
			"short has most of it",
			[]Trial{made("direct", 40), made("short", 160), made("queued", 200)},
			[]string{"Of what queued gains over direct (200 rows/s), that is 75 %."},
			nil,
		},
		{"consumers locked out", []Trial{made("consumers", 40, lockedOutOnce)}, []string{lockBack, "locked out once"}, []string{"one writer behind"}},
		{
			"consumers slow",
			[]Trial{made("consumers", 40), made("queued", 170)},
			[]string{"4 consumers on one queue bring the lock back", "(queued) stored 170"},
			nil,
		},
		{"consumers well", []Trial{made("consumers", 165), made("queued", 170)}, nil, []string{lockBack}},
		{"one consumer", []Trial{made("consumers", 40, processes(1)), made("queued", 170, processes(1))}, nil, []string{lockBack}},
		{"queued costs", []Trial{made("short", 400), made("queued", 200)}, []string{costs, "200 rows/s and short 400"}, []string{gains}},
		{"queued gains", []Trial{made("short", 200), made("queued", 400)}, []string{"2.0 times " + gains + " (short, 200)"}, []string{costs, noQueue}},
		{"queued even", []Trial{made("short", 200), made("queued", 220)}, []string{oneRunOf}, []string{costs, gains, isNoise}},
		{"queued noise", []Trial{made("short", 200, repeated(150, 250)), made("queued", 260, repeated(240, 280))}, []string{isNoise}, []string{costs, gains}},
		{"queued clear of noise", []Trial{made("short", 200, repeated(190, 210)), made("queued", 230, repeated(220, 240))}, []string{gains}, []string{isNoise}},
		{"no direct strategy", []Trial{made("queued", 200), made("confirmed", 200)}, nil, []string{costs, gains, noPay, commits, noQueue}},
		{"direct strategies lost rows", []Trial{made("direct", 200, lockedOutOnce), made("queued", 100)}, nil, []string{costs, noQueue}},
		{
			"confirmed gains",
			[]Trial{made("short", 100, worst(5031)), made("confirmed", 150, worst(9))},
			[]string{commits, "1.5 times as many as short (100); its worst wait was 9.0 ms against 5.0 s."},
			[]string{noPay, noQueue},
		},
		{"confirmed does not pay", []Trial{made("short", 200), made("confirmed", 100)}, []string{noPay, noQueue}, []string{commits}},
		{"sweep", []Trial{
			made("short", 200, processes(1)), made("confirmed", 100, processes(1)),
			made("short", 200, processes(4)), made("confirmed", 210, processes(4)),
			made("short", 200, processes(8)), made("confirmed", 300, processes(8)),
			made("short", 200, processes(16)), made("confirmed", 400, processes(16)),
		}, []string{"with 1 process 100 rows/s (short: 200)", "within the noise", "It pays from 8 processes on."}, []string{commits, neverPays}},
		{"sweep in vain", []Trial{
			made("short", 200, processes(1)), made("confirmed", 100, processes(1)),
			made("short", 200, processes(4)), made("confirmed", 150, processes(4)),
		}, []string{neverPays}, []string{itPays}},
		{"queue not needed, but the wait", []Trial{made("short", 200, worst(900)), made("confirmed", 190, worst(9))}, nil, []string{noQueue}},
		{"offered", []Trial{made("short", 200, rate)}, []string{omission}, nil},
		{"some offered", []Trial{made("short", 200, rate), made("short", 200)}, nil, []string{omission}},
		{"the original", fixedReport().Trials[:2], []string{"without a task all 6 rows arrive; with 300 ms of work inside the transaction 2 of 6 are lost"}, []string{inside, starve}},
		{"stopped", []Trial{made("direct", 40), made("short", 160, func(t *Trial) { t.Stopped = true })}, nil, []string{inside, arrived}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(Findings(test.trials), "\n")
			for _, w := range test.want {
				if !strings.Contains(got, w) {
					t.Errorf("does not say %q:\n%s", w, got)
				}
			}
			for _, a := range test.absent {
				if strings.Contains(got, a) {
					t.Errorf("says %q:\n%s", a, got)
				}
			}
		})
	}
}

func TestSizesAreSaidWhereThereAreSeveral(t *testing.T) {
	one := Findings([]Trial{made("short", 400), made("queued", 200)})
	if strings.Contains(strings.Join(one, ""), "4 processes") {
		t.Errorf("the only size is repeated: %q", one)
	}
	two := Findings([]Trial{made("direct", 40), made("short", 400), made("direct", 40, processes(8)), made("short", 400, processes(8))})
	if !strings.Contains(strings.Join(two, ""), "8 processes, 10 rows each, a task of 20 ms: with the task") {
		t.Errorf("no size: %q", two)
	}
}

func TestRecommend(t *testing.T) {
	for _, test := range []struct {
		name          string
		trials        []Trial
		text, command string
	}{
		{"no queue needed", []Trial{made("direct", 40), made("short", 160), made("queued", 170)}, ": short. It stored", "short,confirmed"},
		{"the simplest will do", []Trial{made("direct", 150, noTask), made("short", 160, noTask)}, ": direct. It stored", "--task 0 --strategies direct,short,confirmed"},
		{"a queue pays", []Trial{made("short", 100, worst(5031), starved), made("confirmed", 150)}, ": confirmed. It stored", "confirmed,short"},
		{"waits too long", []Trial{made("short", 160, worst(2000)), made("confirmed", 150)}, ": confirmed. It stored", "confirmed,short"},
		{"all lost rows", []Trial{made("direct", 100, lockedOutOnce)}, "none of these", "short,confirmed"},
		{"the hardest size", []Trial{made("direct", 150, processes(1)), made("short", 160, processes(8))}, "For 8 processes", "--processes 8 --rows 10 --task 20ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, ok := Recommend(test.trials)
			if !ok || !strings.Contains(a.Text, test.text) || !strings.Contains(a.Command, test.command) {
				t.Errorf("got %v %+v, want %q and %q", ok, a, test.text, test.command)
			}
		})
	}
	if a, ok := Recommend(fixedReport().Trials[:2]); ok {
		t.Errorf("the original experiment alone is no ground to recommend %q", a.Text)
	}
}
