package main

// The live pages in a real browser, fed by the real command.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"turnstile/internal/web/webtest"
)

// servePage starts a command that shows a page, and returns the command, the
// address of the page and, with -v, the ids of its processes as they start.
func servePage(t *testing.T, args ...string) (cmd *exec.Cmd, url string, pids <-chan int) {
	t.Helper()
	cmd = command(t, append(args, "--http", "127.0.0.1:0")...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // gone already, if all went well
		cmd.Wait()
	})
	lines := bufio.NewReader(stderr)
	line, err := lines.ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "The page is at ")
	if !ok {
		t.Fatalf("it says %q, %v", line, err)
	}
	started := make(chan int, 100) // more than any test has
	go func() {
		said := regexp.MustCompile(`msg=started process=P.* pid=(\d+)`)
		for s := bufio.NewScanner(lines); s.Scan(); {
			if m := said.FindStringSubmatch(s.Text()); m != nil {
				pid, _ := strconv.Atoi(m[1]) // digits
				started <- pid
			}
		}
	}()
	return cmd, url, started
}

// endRun kills the processes of a run, as they start, until the page says that it is over.
// A trial whose processes did not start together, as on a busy machine, is repeated.
func endRun(t *testing.T, page *webtest.Page, pids <-chan int) {
	t.Helper()
	for late := time.Now().Add(limit); !webtest.Eval[bool](page, `progress.textContent === "The run is over."`); {
		select {
		case pid := <-pids:
			p, err := os.FindProcess(pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Millisecond): // until the next look
		}
		if time.Now().After(late) {
			t.Fatal("the run does not end")
		}
	}
}

// rowsOfFirst is the table of the first recording, as JSON: rows by process.
const rowsOfFirst = `JSON.stringify(Object.fromEntries([...document.querySelector("#recordings section")?.querySelectorAll("tr") ?? []].slice(1).map(tr => [tr.children[0].textContent, +tr.children[1].textContent])))`

// The page grows while a trial runs, a late viewer gets what was before, the counts
// are those of the result, and "run again" runs again. A trial would take a minute. The
// test ends it, by killing its processes, when it has seen it run.
func TestPageOfTheTrials(t *testing.T) {
	t.Parallel()
	result := filepath.Join(t.TempDir(), "result.json")
	page := webtest.NewPage(t)
	cmd, url, pids := servePage(t, "--processes", "3", "--rows", "500", "--task", "40ms", "--strategies", "immediate", "--output", result, "-v")
	page.Navigate(url)
	page.Wait(`document.querySelectorAll("#recordings section").length === 1`)
	page.Wait(`/^Trial 1 of 1: immediate, 3 processes/.test(progress.textContent)`)
	if _, err := os.Stat(result); err == nil {
		t.Error("the result was there before the page showed anything")
	}
	sum := `Object.values(JSON.parse(` + rowsOfFirst + `)).reduce((a, b) => a + b, 0)`
	page.Wait(sum + ` > 0 && ` + sum + ` < 1500`)
	if again := webtest.Eval[bool](page, `again.disabled`); !again {
		t.Error(`"run again" can be pressed while it runs`)
	}
	if status := webtest.Eval[int](page, `fetch("again", { method: "POST", headers: { "Turnstile-Token": token } }).then(a => a.status)`); status != 409 {
		t.Errorf(`"run again" while it runs: status %d, want 409`, status)
	}
	page.WaitConsole("409")

	endRun(t, page, pids)
	late := webtest.Open(t, url)
	late.Wait(`progress.textContent === "The run is over."`)
	saved, stored := savedRows(t, result)
	for _, p := range []*webtest.Page{page, late} {
		p.Wait(rowsOfFirst + ` === ` + "`" + saved + "`")
		if text := webtest.Eval[string](p, `result.textContent`); !strings.Contains(text, fmt.Sprint(stored, "/1500")) {
			t.Errorf("a viewer sees the result %q", text)
		}
	}

	if err := os.Remove(result); err != nil {
		t.Fatal(err)
	}
	late.Click("#again")
	page.Wait(`/^Trial 1 of 1/.test(progress.textContent)`)
	if !webtest.Eval[bool](page, `result.hidden`) {
		t.Error("the result of the first run stays while the second one runs")
	}
	endRun(t, page, pids)
	saved, _ = savedRows(t, result)
	page.Wait(rowsOfFirst + ` === ` + "`" + saved + "`")

	// Ctrl-C ends it, although two pages look on.
	page.IgnoreConsole()
	late.IgnoreConsole()
	if runtime.GOOS == "windows" {
		return // there is no Ctrl-C to send
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C after the run: %v", err)
	}
}

// savedRows are the rows that each process has committed by the saved recording, as
// JSON, and those that are in the table.
func savedRows(t *testing.T, file string) (text string, stored int) {
	t.Helper()
	var saved struct {
		Trials []struct {
			Stored    int
			Recording struct {
				Lanes []struct {
					Process string
					Events  struct {
						Ready, Code, Unfinished []int
					}
				}
			}
		}
	}
	// The command writes it when the page has the result already.
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(text, &saved) == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	rows := map[string]int{}
	for _, l := range saved.Trials[0].Recording.Lanes {
		rows[l.Process] = len(l.Events.Ready) - len(l.Events.Unfinished)
		for _, code := range l.Events.Code {
			if code != 0 {
				rows[l.Process]--
			}
		}
	}
	b, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), saved.Trials[0].Stored
}

// What was typed is text, whatever it looks like.
func TestPageShowsHostileNames(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a file can't have such a name here")
	}
	hostile := `<img src=x onerror='window.ran=1'><script>window.ran=1</script>`
	_, url, _ := servePage(t, "--processes", "1", "--rows", "1", "--strategies", "direct", "--dir", hostile)
	page := webtest.Open(t, url)
	page.Wait(`progress.textContent === "The run is over." && result.textContent.includes("1/1")`)
	if text := webtest.Eval[string](page, `command.textContent`); !strings.Contains(text, hostile) {
		t.Errorf("the page shows the command %q", text)
	}
	if n := webtest.Eval[int](page, `document.querySelectorAll("img, script:not([src])").length`); n != 0 || webtest.Eval[bool](page, `"ran" in window`) {
		t.Errorf("%d elements came out of a name", n)
	}
}

func TestPageFlagsAreChecked(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--http 0.0.0.0:0", "hint: use --http 127.0.0.1:8090; or"},
		{"--http 8090", "hint: use HOST:PORT"},
		{"--http-host box.example", "hint: add --http"},
		{"watch app.db --once --http 127.0.0.1:0", "--once exits at once"},
	} {
		out, err := command(t, strings.Fields(c.args)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("contention %s: %v\n%s\nwant %q", c.args, err, out, c.want)
		}
	}
}
