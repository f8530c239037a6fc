package report

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var strategyFirst = regexp.MustCompile(`(?im)(^|[.] )(` + strings.Join(Names(), "|") + `)\b.*`)

// TestFindings holds every sentence to the numbers that earn it, and to their
// absence.
func TestFindings(t *testing.T) {
	lost := func(t *Trial) { t.Stored, t.Unaccounted = 38, 2 }
	dead := func(t *Trial) { t.Stored, t.Lost, t.Deaths = 35, 5, []Death{{"P3", "signal: killed", 4}} }
	late := func(t *Trial) { t.TimedOut, t.Deadline = true, 10*time.Second }
	apart := func(d time.Duration, spreads ...time.Duration) func(*Trial) {
		return func(t *Trial) { t.StartSpread, t.Restarts = d, spreads }
	}
	full := func(t *Trial) { t.Stored, t.Lost, t.Errors = 39, 1, map[int]int{13: 1} }
	tail := func(t *Trial) { t.Wait.P99, t.Wait.Max = ptr(0.6), ptr(5031) }
	byTime := func(t *Trial) { t.For, t.Rows = 5*time.Second, 0 }
	rate := func(t *Trial) { t.Offered = 200 }

	const (
		arrived  = "without any SQLITE_BUSY."
		starve   = "tarvation without any error"
		hides    = "hides it"
		inside   = "one after another"
		alone    = "This alone gives"
		lockBack = "compete for the lock again"
		costs    = "queued costs"
		gains    = "as many as the best strategy without a queue"
		commits  = "commits for all waiting"
		noPay    = "does not pay"
		noQueue  = "o queue is needed"
		omission = "coordinated omission"
		isNoise  = "the difference is noise"
		oneRunOf = "one run of each can't tell them apart"
		distrust = "o not trust"
		from     = "is faster from"
		never    = "is not faster with the most processes"
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
			[]string{"Every row of the two strategies of this run was stored, " + arrived},
			[]string{starve, inside, omission, costs, noQueue, distrust},
		},
		{"one strategy", []Trial{made("direct", 100, noTask)}, []string{"Every row of direct was stored, " + arrived}, []string{"strategies"}},
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
			"busy",
			[]Trial{made("direct", 100, busyOnce)},
			[]string{`"database is locked": direct lost 1 of 40 rows. The longest wait: P2 of direct waited 5.0 s while P1 held the lock for 4.1 s in 12 transactions and P3 for 0.80 s.`},
			[]string{arrived, starve},
		},
		{"an external process", []Trial{made("direct", 100, busyOnce, func(t *Trial) {
			t.Busy[0].Observed = &Observed{Process: "sqlite3", PID: 4711, External: true}
		})}, []string{"held by external process 4711 (sqlite3)"}, nil},
		{"another error", []Trial{made("direct", 100, full)}, []string{"1 transaction failed: database or disk is full (13)"}, []string{arrived, "locked\""}},
		{
			"starved",
			[]Trial{made("immediate", 100, starved)},
			[]string{starve, "P1 had stored all its 10 rows when P2 had stored 0", "0.83 s (immediate, P2)", arrived},
			[]string{hides},
		},
		{"uneven, but quick", []Trial{made("immediate", 100, starved, worst(40))}, nil, []string{starve}},
		{"long tail", []Trial{made("immediate", 100, tail)}, []string{starve, "p99 (0.60 ms) hides it"}, nil},
		{"a slow row among slow rows", []Trial{made("immediate", 100, tail, func(t *Trial) { t.Wait.P99 = ptr(900) })}, nil, []string{starve, hides}},
		{"a tail too short to matter", []Trial{made("immediate", 100, func(t *Trial) { t.Wait.P99, t.Wait.Max = ptr(0.6), ptr(105) })}, nil, []string{starve, hides}},
		{"starved by time", []Trial{made("immediate", 100, starved, byTime)}, []string{"P2 stored 0 rows and P1 10"}, nil},
		{"SQLITE_BUSY is not starvation", []Trial{made("direct", 100, starved, busyOnce)}, []string{"direct lost"}, []string{starve}},
		{
			"task inside",
			[]Trial{made("direct", 40), made("short", 160)},
			[]string{inside, "40 x 20 ms is at least 0.80 s, and it took 1.0 s", "160 rows/s instead of 40, 4.0 times as many"},
			[]string{alone},
		},
		{"task inside costs nothing", []Trial{made("direct", 150), made("short", 160)}, nil, []string{inside}},
		{"no task", []Trial{made("direct", 40, noTask), made("short", 160, noTask)}, nil, []string{inside}},
		{
			"short has most of it",
			[]Trial{made("direct", 40), made("short", 160), made("queued", 200)},
			[]string{"This alone gives 75 % of the gain of queued (200 rows/s)."},
			nil,
		},
		{
			"turns is fair",
			[]Trial{made("immediate", 400, worst(2239), starved), made("turns", 200, worst(44)), made("confirmed", 600)},
			[]string{"Processes that take turns are treated fairly without a server: the maximum wait of turns was 44 ms against 0.83 s with immediate (Jain's index 1.00 against 0.53), at 200 rows/s against 400.", "The writer of confirmed commits for several processes at once: 3.0 times as many rows."},
			nil,
		},
		{"turns gains nothing", []Trial{made("short", 400, worst(60)), made("turns", 200, worst(44))}, nil, []string{"take turns"}},
		{
			"the lock is free while processes wait",
			[]Trial{made("immediate", 40, func(t *Trial) { t.LockWait = LockWait{Total: 2 * time.Second, Free: 500 * ms} })},
			[]string{"The processes of immediate waited 2.0 s for the lock in all, and for 25 % of that time nobody held it"},
			nil,
		},
		{"the lock is hardly ever free", []Trial{made("immediate", 40, func(t *Trial) { t.LockWait = LockWait{Total: 9 * time.Second, Free: 200 * ms} })}, nil, []string{"nobody held it"}},
		{"consumers get SQLITE_BUSY", []Trial{made("consumers", 40, busyOnce)}, []string{lockBack, "got SQLITE_BUSY once"}, []string{"a single writer behind"}},
		{
			"consumers slow",
			[]Trial{made("consumers", 40), made("queued", 170)},
			[]string{"4 consumers of one queue compete for the lock again", "(queued) stored 170"},
			nil,
		},
		{"consumers well", []Trial{made("consumers", 165), made("queued", 170)}, nil, []string{lockBack}},
		{"one consumer", []Trial{made("consumers", 40, processes(1)), made("queued", 170, processes(1))}, nil, []string{lockBack}},
		{"queued costs", []Trial{made("short", 400), made("queued", 200)}, []string{costs, "200 rows/s, and short 400"}, []string{gains}},
		{"queued gains", []Trial{made("short", 200), made("queued", 400)}, []string{"2.0 times " + gains + " (short, 200)"}, []string{costs, noQueue}},
		{"queued even", []Trial{made("short", 200), made("queued", 220)}, []string{oneRunOf}, []string{costs, gains, isNoise}},
		{"queued noise", []Trial{made("short", 200, repeated(150, 250)), made("queued", 260, repeated(240, 280))}, []string{isNoise}, []string{costs, gains}},
		{"queued clear of noise", []Trial{made("short", 200, repeated(190, 210)), made("queued", 230, repeated(220, 240))}, []string{gains}, []string{isNoise}},
		{"no direct strategy", []Trial{made("queued", 200), made("confirmed", 200)}, nil, []string{costs, gains, noPay, commits, noQueue}},
		{"direct strategies lost rows", []Trial{made("direct", 200, busyOnce), made("queued", 100)}, nil, []string{costs, noQueue}},
		{
			"confirmed gains",
			[]Trial{made("short", 100, worst(5031)), made("confirmed", 150, worst(9), func(t *Trial) { t.RowsPerCommit = ptr(7.4) })},
			[]string{commits, "processes at once, 7.4 rows a commit: 150 rows/s", "1.5 times as many as short (100). The maximum wait was 9.0 ms with confirmed, and 5.0 s with short."},
			[]string{noPay, noQueue},
		},
		{"confirmed does not pay", []Trial{made("short", 200), made("confirmed", 100)}, []string{noPay, noQueue}, []string{commits}},
		{"sweep", []Trial{
			made("short", 200, processes(1)), made("confirmed", 100, processes(1)),
			made("short", 200, processes(4)), made("confirmed", 210, processes(4)),
			made("short", 200, processes(8)), made("confirmed", 300, processes(8)),
			made("short", 200, processes(16)), made("confirmed", 400, processes(16)),
		}, []string{"without a queue, with a task of 20 ms, confirmed is faster from 8 processes on. With 16 processes it stored 400 rows/s, and short 200."}, []string{commits, never}},
		{"sweep in vain", []Trial{
			made("short", 200, processes(1)), made("confirmed", 100, processes(1)),
			made("short", 200, processes(4)), made("confirmed", 150, processes(4)),
		}, []string{never}, []string{from}},
		{"queue not needed, but the wait", []Trial{made("short", 200, worst(900)), made("confirmed", 190, worst(9))}, nil, []string{noQueue}},
		{"offered", []Trial{made("short", 200, rate)}, []string{omission}, nil},
		{"some offered", []Trial{made("short", 200, rate), made("short", 200)}, nil, []string{omission}},
		{"the introduction", fixedReport().Trials[:2], []string{"without a task all 6 rows are stored; with a task of 300 ms inside the transaction 2 of 6 are lost"}, []string{inside, starve}},
		{"stopped", []Trial{made("direct", 40), made("short", 160, func(t *Trial) { t.Interrupted = true })}, nil, []string{inside, arrived}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(Findings(test.trials), "\n")
			if begin := strategyFirst.FindString(got); begin != "" {
				t.Errorf("a sentence begins with the name of a strategy: %q", begin)
			}
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
	two := Findings([]Trial{made("direct", 40), made("short", 200), made("direct", 40, processes(8)), made("short", 400, processes(8))})
	if !strings.Contains(strings.Join(two, ""), "8 processes, 10 rows each, a task of 20 ms: the tasks of direct run") {
		t.Errorf("no size: %q", two)
	}
}

func TestRecommend(t *testing.T) {
	for _, test := range []struct {
		name             string
		trials           []Trial
		text, strategies string
	}{
		{
			"turns is the fair one without a server",
			[]Trial{made("immediate", 40, worst(2000), starved), made("turns", 39, worst(90)), made("confirmed", 40)},
			": turns. It stored", "turns,short,confirmed",
		},
		{
			"turns beside a faster queue",
			[]Trial{made("immediate", 400, worst(2000), starved), made("turns", 200, worst(90)), made("confirmed", 600)},
			"the fair one is turns: 200 rows/s with a maximum wait of 90 ms.", "confirmed,short,turns",
		},
		{"no queue needed", []Trial{made("direct", 40), made("short", 160), made("queued", 170)}, ": short. It stored", "short,turns,confirmed"},
		{"the simplest will do", []Trial{made("direct", 150, noTask), made("short", 160, noTask)}, ": direct. It stored", "direct,short,turns,confirmed"},
		{"a queue pays", []Trial{made("short", 100, worst(5031), starved), made("confirmed", 150)}, ": confirmed. It stored", "confirmed,short,turns"},
		{"waits too long", []Trial{made("short", 160, worst(2000)), made("confirmed", 150)}, ": confirmed. It stored", "confirmed,short,turns"},
		{"it lost rows", []Trial{made("direct", 100, busyOnce)}, "task of 20 ms: not direct: it lost rows. Try short, which", "short,turns,confirmed"},
		{"two did badly", []Trial{made("direct", 100, busyOnce), made("short", 100, worst(835), starved)}, "none of the two strategies of this run: direct lost rows and short starved a process. Try turns, which is fair without a server, and confirmed,", "short,turns,confirmed"},
		{"consumers alone", []Trial{made("consumers", 100)}, "not consumers: it lets its processes compete for the lock. Try short", "short,turns,confirmed"},
		{"the only one without a queue lost rows", []Trial{made("direct", 100, busyOnce), made("queued", 100)}, "Of the strategies without a queue only direct was in this run, and it lost rows.", "queued,short,turns,confirmed"},
		{"both without a queue lost rows", []Trial{made("direct", 100, busyOnce), made("wal", 100, busyOnce), made("queued", 100)}, "Without a queue, direct and wal lost rows.", "queued,short,turns,confirmed"},
		{"only queues", []Trial{made("queued", 100), made("confirmed", 90)}, "No strategy without a queue was in this run.", "queued,short,turns,confirmed"},
		{"the hardest size", []Trial{made("direct", 150, processes(1)), made("short", 160, processes(8))}, "For 8 processes, 10 rows each, a task of 20 ms", "short,turns,confirmed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, ok := recommend(test.trials)
			if !ok || !strings.Contains(a.Text, test.text) || !strings.Contains(strings.Join(a.Strategies, ","), test.strategies) {
				t.Errorf("got %v %+v, want %q and %q", ok, a, test.text, test.strategies)
			}
		})
	}
	if a, ok := recommend(fixedReport().Trials[:2]); ok {
		t.Errorf("the introduction alone is no ground to recommend %q", a.Text)
	}
}
