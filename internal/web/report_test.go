package web

// The page of the lab in a browser: what it shows is what the result says.

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"turnstile/internal/lab/report"
	"turnstile/internal/scene"
	"turnstile/internal/web/webtest"
)

// savedRun is a result of contention: the introduction, direct, turns and queued.
func savedRun(t testing.TB) report.Report {
	t.Helper()
	text, err := os.ReadFile("testdata/run.json")
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := report.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return *r
}

// openFile opens a page as a file.
func openFile(t testing.TB, write func(*bytes.Buffer) error) *webtest.Page {
	t.Helper()
	p := webtest.NewPage(t)
	p.Navigate(saveFile(t, write))
	return p
}

func saveFile(t testing.TB, write func(*bytes.Buffer) error) (url string) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + filepath.ToSlash(file)
}

func openReport(t testing.TB, r report.Report, predict bool) *webtest.Page {
	t.Helper()
	p := openFile(t, func(b *bytes.Buffer) error { return WriteReport(b, r, predict) })
	p.Wait(`recordings.size && sorted().every(r => r.key)`)
	return p
}

// shownLane is what the page counts in a lane, and shownTrial what it draws of a
// trial; times are microseconds.
type shownLane struct {
	Process            string
	Done, Failed, Busy int
}

type shownTrial struct {
	Lanes []shownLane
	Sums  []float64 // by state: 0, works, holds, blocks, queue, lock
	Text  string
}

const shownTrials = `sorted().map(r => ({ Lanes: r.lanes.map(l => ({ Process: l.process, Done: l.done, Failed: l.failed, Busy: l.busy })),
	Sums: [...r.sums], Text: r.view.section.innerText }))`

func TestReportShowsTheResult(t *testing.T) {
	r := savedRun(t)
	p := openReport(t, r, false)
	shown := webtest.Eval[[]shownTrial](p, shownTrials)
	if len(shown) != len(r.Trials) {
		t.Fatalf("%d trials shown, want %d", len(shown), len(r.Trials))
	}
	for i, trial := range r.Trials {
		compareTrial(t, trial, shown[i])
	}
	headline := webtest.Eval[string](p, `$("headline").textContent`)
	if want := "Two of six rows were lost: while P2 held the lock, P1 and P3 gave up after 0.50 s."; untie(headline) != want {
		t.Errorf("headline %q, want %q", headline, want)
	}
	result := webtest.Eval[string](p, `$("result").innerText`)
	for _, want := range append(report.Findings(r.Trials), "direct\t40/40\t0\t37\t") {
		if !strings.Contains(untie(result), want) {
			t.Errorf("the result has no %q:\n%s", want, result)
		}
	}
}

func untie(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

func compareTrial(t *testing.T, trial report.Trial, shown shownTrial) {
	t.Helper()
	name := trial.Setting.String()
	var lanes []shownLane
	for _, lane := range trial.Recording.Lanes {
		l := shownLane{Process: lane.Process}
		for _, e := range lane.Events {
			switch {
			case e.Done():
				l.Done += e.Rows
			case e.Code == 5:
				l.Busy++
				l.Failed += e.Rows
			}
		}
		lanes = append(lanes, l)
	}
	if got, want := fmt.Sprint(shown.Lanes), fmt.Sprint(lanes); got != want {
		t.Errorf("%s: lanes %s, want %s", name, got, want)
	}
	near := func(what string, got float64, want time.Duration) {
		if math.Abs(got-float64(want.Microseconds())) > 1+0.001*got {
			t.Errorf("%s: %s %.0f µs, want %s", name, what, got, want)
		}
	}
	held := time.Duration(trial.HeldSeconds * float64(time.Second))
	near("holds", shown.Sums[2]+shown.Sums[3], held)
	if trial.Strategy != "queued" { // of which the lab does not sum up the waits
		near("blocks", shown.Sums[3], trial.LockWait.Contended)
		near("waits", shown.Sums[4]+shown.Sums[5], trial.LockWait.Total)
	}
	if want := fmt.Sprintf("%d of %d rows stored", trial.Stored, trial.Asked); !strings.Contains(shown.Text, want) {
		t.Errorf("%s: no %q in %q", name, want, shown.Text)
	}
}

// The sentence about a wait has the same holders as the result.
func TestReportAttributesAWait(t *testing.T) {
	r := savedRun(t)
	p := openReport(t, r, false)
	busy := r.Trials[1].Busy[0]
	sentence := webtest.Eval[string](p, fmt.Sprintf(`(() => {
		const r = recordings.get(2), lane = r.lanes.find(l => l.process === %q)
		select(r, lane, lane.marks[0])
		return r.view.sentence.textContent })()`, busy.Process))
	want := fmt.Sprintf("%s, row %d: waited %d ms: %s %d ms, nobody ", busy.Process, busy.Row, busy.Waited.Round(time.Millisecond).Milliseconds(),
		busy.Holders[0].Process, busy.Holders[0].Held.Round(time.Millisecond).Milliseconds())
	if !strings.HasPrefix(untie(sentence), want) || !strings.HasSuffix(untie(sentence), "; failed with SQLITE_BUSY (5).") {
		t.Errorf("sentence %q, want %q ...", sentence, want)
	}
}

func TestReportAsksForAPrediction(t *testing.T) {
	r := savedRun(t)
	p := openFile(t, func(b *bytes.Buffer) error { return WriteReport(b, r, true) })
	p.Wait(`!$("predict").hidden`)
	if seen := webtest.Eval[string](p, `document.body.innerText`); strings.Contains(seen, "lost") {
		t.Errorf("the outcome is there before it was predicted: %q", seen)
	}
	p.Click("#predict input")
	p.Key("6" + kb.Enter)
	p.Wait(`$("headline").offsetHeight && $("charts").querySelectorAll("svg rect").length`)
	if said := webtest.Eval[string](p, `$("predict").innerText`); !strings.Contains(said, "You said 6. It was 4.") {
		t.Errorf("answer %q", said)
	}
}

func TestReportByKeyboard(t *testing.T) {
	p := openReport(t, savedRun(t), false)
	webtest.Eval[bool](p, `recordings.get(2).view.canvas.focus() || true`)
	sentence := func() string { return untie(webtest.Eval[string](p, `recordings.get(2).view.sentence.textContent`)) }
	p.Key(kb.ArrowRight)
	if s := sentence(); !strings.HasPrefix(s, "P1, row 1: waited ") {
		t.Errorf("right: %q", s)
	}
	p.Key(kb.ArrowRight)
	if s := sentence(); !strings.HasPrefix(s, "P1, row 2: ") {
		t.Errorf("right again: %q", s)
	}
	p.Key(kb.ArrowDown)
	if s := sentence(); !strings.HasPrefix(s, "P2, row ") {
		t.Errorf("down: %q", s)
	}
	const total = `recordings.get(2).sums.reduce((a, b) => a + b, 0)`
	all := webtest.Eval[float64](p, total)
	p.Key("++")
	p.Wait(`zoom && zoom.to - zoom.from < .5 * everything().to`)
	p.Wait(fmt.Sprintf(total+" < .9 * %f", all)) // the legend's totals follow the visible range
	p.Key("0")
	p.Wait(fmt.Sprintf("!zoom && "+total+" === %f", all))
	p.Key(kb.Escape)
	if s := sentence(); s != "" {
		t.Errorf("escape: %q", s)
	}
}

// The mouse, and two fingers, move through the time; a click tells.
func TestReportByMouseAndTouch(t *testing.T) {
	p := openReport(t, savedRun(t), false)
	type box struct{ Left, Top, Width float64 }
	at := webtest.Eval[box](p, `(recordings.get(2).view.section.scrollIntoView({ block: "center" }), (b => ({ Left: b.left, Top: b.top, Width: b.width }))(recordings.get(2).view.canvas.getBoundingClientRect()))`)
	x, y := at.Left+at.Width/4, at.Top+34 // in the lane of P1, which waits
	p.Drag(x, y, x, y)
	p.Wait(`recordings.get(2).view.sentence.textContent.startsWith("P1, row 1: waited")`)
	const width = `(zoom ? zoom.to - zoom.from : everything().to)`
	all := webtest.Eval[float64](p, width)

	p.Wheel(x, y, -300, true)
	p.Wait(fmt.Sprintf(width+" < .5 * %f", all))
	near := webtest.Eval[[]float64](p, `[zoom.from, zoom.to]`)
	p.Drag(x+200, y, x, y)
	p.Wait(fmt.Sprintf(`zoom.from > %f`, near[0]+0.1*(near[1]-near[0])))
	if got, want := webtest.Eval[float64](p, width), near[1]-near[0]; math.Abs(got-want) > 0.001*want {
		t.Errorf("a drag changed the width of what is seen from %.0f to %.0f", want, got)
	}
	p.Pinch(x-40, x+40, y, x-120, x+120)
	p.Wait(fmt.Sprintf(width+" < .6 * %f", near[1]-near[0]))
	p.Click("#zoom-all")
	p.Wait(`!zoom && $("zoom-all").disabled`)
}

// Nothing is wider than a phone, in both themes.
func TestReportOnAPhone(t *testing.T) {
	r := savedRun(t)
	r.Trials[3].Recording.Lanes[0].Command = strings.Repeat("a-very-long-command ", 20)
	p := openReport(t, r, false)
	light := webtest.Eval[string](p, `getComputedStyle(document.body).backgroundColor`)
	for _, theme := range []string{"light", "dark"} {
		p.Theme(theme, true)
		p.Size(375, 800)
		p.Wait(`innerWidth === 375 && sorted().every(r => r.place && r.place.width <= 375)`)
		if wide := webtest.Eval[int](p, `document.documentElement.scrollWidth`); wide > 375 {
			t.Errorf("%s: the page is %d pixels wide", theme, wide)
		}
	}
	if dark := webtest.Eval[string](p, `getComputedStyle(document.body).backgroundColor`); dark == light {
		t.Errorf("dark is as light: %s", dark)
	}
}

const hostile = `<script>window.ran = 1</script><img src=x onerror="window.ran = 1"></script><!--`

func TestReportEscapesText(t *testing.T) {
	r := savedRun(t)
	r.CommandLine, r.AboutLine, r.Trials[0].Recording.Title = hostile, hostile, hostile
	r.Trials[0].Recording.Lanes[0].Process = hostile
	r.Trials[0].Recording.Lanes[0].Command = hostile
	p := openReport(t, r, false)
	p.Wait(`recordings.get(1).view.table.textContent.includes("<script>window.ran")`)
	webtest.Eval[bool](p, `(select(recordings.get(1), recordings.get(1).lanes[0], 0), true)`)
	if ran := webtest.Eval[string](p, `String(window.ran) + document.querySelectorAll("img").length`); ran != "undefined0" {
		t.Errorf("text became a part of the page: %s", ran)
	}
}

// Only the scripts that the page was saved with run in it.
func TestReportRunsNoOtherScript(t *testing.T) {
	r := savedRun(t)
	p := webtest.NewPage(t)
	p.IgnoreConsole()
	p.Navigate(saveFile(t, func(b *bytes.Buffer) error {
		var page bytes.Buffer
		if err := WriteReport(&page, r, false); err != nil {
			return err
		}
		b.WriteString(strings.Replace(page.String(), "</body>", `<script>window.ran = 1</script><p id="x" onclick="window.ran = 1">x</body>`, 1))
		return nil
	}))
	p.Wait(`recordings.size`)
	p.WaitConsole("Content Security Policy")
	if ran := webtest.Eval[string](p, `$("x").click() || String(window.ran)`); ran != "undefined" {
		t.Errorf("a script that was added ran: %s", ran)
	}
}

// A page that gets the messages one by one shows what the saved one shows.
func TestReportLiveAndSavedAreTheSame(t *testing.T) {
	r := savedRun(t)
	saved := openReport(t, r, false)
	hub := NewHub()
	s, err := NewLabServer(Options{Addr: "127.0.0.1:0", Events: hub})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	send := func(m any) {
		t.Helper()
		if err := hub.Publish("all", m); err != nil {
			t.Fatal(err)
		}
	}
	live := webtest.Open(t, s.URL())
	send(NewConfigMessage("title", r.CommandLine, r.AboutLine, nil))
	for i, trial := range r.Trials {
		for part, some := range parts(*trial.Recording) {
			send(NewRecordingMessage(i+1, part > 0, some))
		}
	}
	send(NewResultMessage(r.Summary()))
	live.Wait(fmt.Sprintf(`summary && recordings.size === %d && sorted().every(r => r.key && !r.dirty)`, len(r.Trials)))
	want := webtest.Eval[[]shownTrial](saved, shownTrials)
	got := webtest.Eval[[]shownTrial](live, shownTrials)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("live  %v\nsaved %v", got, want)
	}
}

// parts splits a recording into two: what happened until the middle, where each
// process has an event that is not over, and the rest.
func parts(r report.Recording) []report.Recording {
	first, second := r, r
	first.Lanes, second.Lanes = nil, nil
	for _, lane := range r.Lanes {
		a, b, half := lane, lane, len(lane.Events)/2
		open := lane.Events[half]
		open.Unfinished = true
		a.Events = append(append([]report.Event{}, lane.Events[:half]...), open)
		b.Events = lane.Events[half:]
		first.Lanes, second.Lanes = append(first.Lanes, a), append(second.Lanes, b)
	}
	return []report.Recording{first, second}
}

// 16 processes with 100,000 events each are drawn while the mouse moves.
func TestReportOfManyEvents(t *testing.T) {
	const lanes, events = 16, 100_000
	r := &report.Recording{Version: report.RecordingVersion, Source: "watch", Title: "many", Zero: time.UnixMilli(0), Notes: []report.Note{}, Series: []report.Series{}}
	for n := range lanes {
		lane := report.Lane{Process: fmt.Sprint("P", n+1), WaitsFor: report.WaitsForLock, Events: make([]report.Event, events)}
		for i := range lane.Events {
			at := time.Duration(i*lanes+n) * 100 * time.Microsecond
			lane.Events[i] = report.Event{
				First: i, Rows: 1, Ready: max(0, at-1400*time.Microsecond), Wants: max(0, at-1400*time.Microsecond), Begun: at,
				Released: at + 90*time.Microsecond, End: at + 95*time.Microsecond,
			}
		}
		r.Lanes = append(r.Lanes, lane)
	}
	start := time.Now()
	p := openFile(t, func(b *bytes.Buffer) error { return WriteRecording(b, r, "") })
	p.Wait(`recordings.size && sorted().every(r => r.key)`)
	shown := p.CPUTime()
	t.Logf("written, read and drawn after %s; the page took %s of CPU time", time.Since(start), shown)
	if shown > 10*time.Second {
		t.Errorf("it took %s of CPU time to show the page", shown)
	}
	if n := webtest.Eval[int](p, `recordings.get(1).lanes.reduce((n, l) => n + l.n, 0)`); n != lanes*events {
		t.Errorf("%d events shown, want %d", n, lanes*events)
	}
	const frames = 15
	webtest.Eval[bool](p, fmt.Sprintf(`(() => {
		for (let i = 1; i <= %[1]d; i++) {
			zoom = { from: 1e6 * i, to: 40e6 * i / %[1]d + 1e6 * i + 1000 }
			drawAll()
		}
		zoom = null
		return true
	})()`, frames))
	frame := (p.CPUTime() - shown) / frames
	t.Logf("a frame takes %s of CPU time", frame)
	if frame > 150*time.Millisecond {
		t.Errorf("a frame takes %s of CPU time", frame)
	}
}

// A scene goes step by step, and shows the locks of each step.
func TestScenePage(t *testing.T) {
	code, name, message, waited := 5, "SQLITE_BUSY", "database is locked", 230.0
	story := scene.Story{
		Name: "deadlock", Title: "two " + hostile, OK: true, Why: "because", Cure: "this", Links: []string{"https://sqlite.org", "javascript:window.ran=1"},
		Acts: []scene.Act{{
			Title: "one", Actors: []scene.Actor{{Name: "A", PID: 7, BusyTimeoutMS: 200}, {Name: "B", PID: 8, BusyTimeoutMS: 5000}},
			Steps: []scene.Step{
				{Actor: "A", Kind: "statement", Text: "BEGIN IMMEDIATE", Code: new(int), WaitedMS: new(float64), Locks: []scene.HeldLock{{Actor: "A", Lock: "reserved", Blocks: true}}},
				{Actor: "B", Kind: "statement", Text: "COMMIT", Code: &code, CodeName: &name, Message: &message, WaitedMS: &waited, Note: hostile},
				{Actor: "A", Kind: "statement", Text: "COMMIT", Code: new(int), WaitedMS: new(float64), Locks: []scene.HeldLock{}},
			},
		}},
	}
	p := openFile(t, func(b *bytes.Buffer) error {
		return WriteScenes(b, []scene.Story{story}, "contention scene deadlock", "")
	})
	p.Wait(`document.querySelector(".act")`)
	step := func() string {
		return webtest.Eval[string](p, `document.querySelector(".steps span").textContent + ": " +
			[...document.querySelectorAll(".cast article")].map(a => a.className.trim() + "|" + a.querySelector(".says").textContent + "|" + a.querySelector(".locks").textContent).join(" / ")`)
	}
	want := []string{
		"step 1 of 3: acts|ok|reserved lock / ||no lock",
		"step 2 of 3: |ok|locks are not visible here / acts failed|5 SQLITE_BUSY, after 230 ms|locks are not visible here",
		"step 3 of 3: acts|ok|no lock / failed|5 SQLITE_BUSY, after 230 ms|no lock",
	}
	webtest.Eval[bool](p, `document.querySelector(".act").focus() || true`)
	for i, w := range want {
		if got := step(); got != w {
			t.Errorf("step %d: %q, want %q", i+1, got, w)
		}
		p.Key(kb.ArrowRight)
	}
	p.Key(kb.ArrowLeft)
	if got := step(); got != want[1] {
		t.Errorf("back: %q, want %q", got, want[1])
	}
	if got := webtest.Eval[string](p, `[...document.links].map(a => a.href).join() + window.ran`); got != "https://sqlite.org/undefined" {
		t.Errorf("links and scripts: %s", got)
	}
	p.Size(375, 800)
	p.Wait(`innerWidth === 375`)
	if wide := webtest.Eval[int](p, `document.documentElement.scrollWidth`); wide > 375 {
		t.Errorf("the page is %d pixels wide", wide)
	}
}

var lanesPicture = flag.String("lanes-picture", "", "write the `FILE` with the lanes that README.md shows: lanes.png")

// The picture of README.md is a part of the page.
func TestReportPicture(t *testing.T) {
	r := savedRun(t)
	r.Trials = append(r.Trials[1:3:3], r.Trials[4])
	p := openReport(t, r, false)
	p.Size(940, 900)
	p.Wait(`sorted().every(r => r.place.width < 940)`)
	height := webtest.Eval[int64](p, `(() => {
		for (const e of document.querySelectorAll("header, #zoom, #hint, details, #charts, #result, footer")) e.style.display = "none"
		return Math.ceil($("recordings").getBoundingClientRect().bottom) })()`)
	p.Size(940, height)
	png := p.Screenshot()
	if len(png) == 0 || len(png) > 200_000 {
		t.Errorf("the picture has %d bytes, want 200,000 at most", len(png))
	}
	if *lanesPicture == "" {
		return
	}
	if err := os.WriteFile(*lanesPicture, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A recording of watch says who held a lock longest.
func TestRecordingPage(t *testing.T) {
	hold := func(at, held time.Duration, lock string) report.Event {
		return report.Event{Ready: at, Wants: at, Begun: at, Released: at + held, End: at + held, Lock: lock}
	}
	r := &report.Recording{
		Version: report.RecordingVersion, Source: "watch", Title: "watch app.db", Zero: time.UnixMilli(0), Series: []report.Series{{
			Name: "wal_bytes", At: []time.Duration{0, time.Second}, Values: []int64{4152, 1 << 20},
		}},
		Lanes: []report.Lane{
			{Process: "7", Command: "python3 import.py", Events: []report.Event{hold(0, 100*time.Millisecond, "reserved"), hold(time.Second, 700*time.Millisecond, "exclusive")}},
			{Process: "8 read", Command: "sqlite3", Events: []report.Event{hold(0, 2*time.Second, "shared")}},
		},
		Notes: []report.Note{{At: time.Second, Kind: "alert", Text: hostile}},
	}
	p := openFile(t, func(b *bytes.Buffer) error { return WriteRecording(b, r, "contention report night.json") })
	p.Wait(`recordings.size && sorted().every(r => r.key)`)
	want := "Process 7 python3 import.py held a lock longest, for 0.70 s without a pause."
	if got := untie(webtest.Eval[string](p, `$("headline").textContent`)); got != want {
		t.Errorf("headline %q, want %q", got, want)
	}
	if got := webtest.Eval[string](p, `[...$("legend").children].filter(li => !li.hidden).map(li => li.textContent).join()`); got != "holds the lock" {
		t.Errorf("the legend explains %q", got)
	}
	if got := webtest.Eval[string](p, `recordings.get(1).view.note.textContent + window.ran`); !strings.HasSuffix(got, hostile+"undefined") {
		t.Errorf("note %q", got)
	}
}

// What browsers have to read is small: all scripts of all pages, as they get them.
func TestScriptsAreSmall(t *testing.T) {
	const most = 60_000
	size := 0
	for _, name := range append(slices.Clone(labScripts), "live.js") {
		text, err := labPage.file(name)
		if err != nil {
			t.Fatal(err)
		}
		size += len(text)
	}
	text, err := savedStream.file("stream.js")
	if err != nil {
		t.Fatal(err)
	}
	if size += len(text); size > most {
		t.Errorf("the scripts have %d bytes, want %d at most", size, most)
	}
}
