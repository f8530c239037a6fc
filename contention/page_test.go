package main

// The live pages in a real browser, fed by the real command.

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"turnstile/internal/web/webtest"
)

// servePage starts a command that shows a page, and returns the command and the
// address of the page.
func servePage(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := command(t, append(args, "--http", "127.0.0.1:0")...)
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
	go io.Copy(io.Discard, lines)
	return cmd, url
}

// rowsOfFirst is the table of the first recording, as JSON: rows by process.
const rowsOfFirst = `JSON.stringify(Object.fromEntries([...document.querySelector("#recordings section")?.querySelectorAll("tr") ?? []].slice(1).map(tr => [tr.children[0].textContent, +tr.children[1].textContent])))`

// The page grows while a trial runs, a late viewer gets what was before, the counts
// are those of the result, and "run again" runs again.
func TestPageOfTheTrials(t *testing.T) {
	result := filepath.Join(t.TempDir(), "result.json")
	page := webtest.NewPage(t)
	cmd, url := servePage(t, "--processes", "3", "--rows", "12", "--task", "40ms", "--strategies", "immediate", "--output", result)
	page.Navigate(url)
	page.Wait(`document.querySelectorAll("#recordings section").length === 1`)
	page.Wait(`/^Trial 1 of 1: immediate, 3 processes/.test(progress.textContent)`)
	if _, err := os.Stat(result); err == nil {
		t.Error("the result was there before the page showed anything")
	}
	sum := `Object.values(JSON.parse(` + rowsOfFirst + `)).reduce((a, b) => a + b, 0)`
	page.Wait(sum + ` > 0 && ` + sum + ` < 36`)
	if again := webtest.Eval[bool](page, `again.disabled`); !again {
		t.Error(`"run again" can be pressed while it runs`)
	}
	if status := webtest.Eval[int](page, `fetch("again", { method: "POST", headers: { "Turnstile-Token": token } }).then(a => a.status)`); status != 409 {
		t.Errorf(`"run again" while it runs: status %d, want 409`, status)
	}
	page.WaitConsole("409")

	page.Wait(`progress.textContent === "The run is over."`)
	late := webtest.Open(t, url)
	late.Wait(`progress.textContent === "The run is over."`)
	saved := savedRows(t, result)
	for _, p := range []*webtest.Page{page, late} {
		p.Wait(rowsOfFirst + ` === ` + "`" + saved + "`")
		if text := webtest.Eval[string](p, `result.textContent`); !strings.Contains(text, "36/36") {
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
	page.Wait(`progress.textContent === "The run is over."`)
	page.Wait(rowsOfFirst + ` === ` + "`" + savedRows(t, result) + "`")

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

// savedRows are the rows that each process has committed by the saved result, as
// JSON.
func savedRows(t *testing.T, file string) string {
	t.Helper()
	var saved struct {
		Trials []struct {
			Results []struct {
				Process string
				Rows    int
			} `json:"process_results"`
			Recording struct {
				Lanes []struct {
					Process string
					Events  struct {
						Ready, Code []int
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
		rows[l.Process] = len(l.Events.Ready)
		for _, code := range l.Events.Code {
			if code != 0 {
				rows[l.Process]--
			}
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What was typed is text, whatever it looks like.
func TestPageShowsHostileNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file can't have such a name here")
	}
	hostile := `<img src=x onerror='window.ran=1'><script>window.ran=1</script>`
	_, url := servePage(t, "--processes", "1", "--rows", "1", "--strategies", "direct", "--dir", hostile)
	page := webtest.Open(t, url)
	page.Wait(`progress.textContent === "The run is over."`)
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
