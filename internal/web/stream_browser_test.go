package web

// The page of the stream in a browser. webtest fails a test if the page writes to the
// console, as it does when it violates its Content-Security-Policy.

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"turnstile/internal/web/webtest"
)

// serveStream serves a page that was told messages.
func serveStream(t *testing.T, messages ...any) *StreamPage {
	t.Helper()
	p, err := NewStreamPage(Options{Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}, "var/turnstile.db",
		func(_ context.Context, source string, line int64) (FollowedRow, error) {
			if line > 1000 {
				return FollowedRow{}, fmt.Errorf("no line <b>%d</b>", line)
			}
			return FollowedRow{Source: source, Line: line, Now: 10_000, Read: 4_000, Queued: 5_000, Found: true, Hour: 456_576, Name: hostileName, Riders: 7, Rejects: []string{}}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	// Not t.Context(), which ends before the page is closed: the page would complain.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	tell(t, p, messages...)
	return p
}

func tell(t *testing.T, p *StreamPage, messages ...any) {
	t.Helper()
	for _, m := range messages {
		if err := p.hub.Publish("stream", m); err != nil {
			t.Fatal(err)
		}
	}
}

// text waits until an element has a text.
func text(p *webtest.Page, selector, want string) {
	p.Wait(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, want))
}

// The page shows what the messages say, and text of the stream as text.
func TestStreamPageShowsMessages(t *testing.T) {
	t.Parallel()
	page := webtest.Open(t, serveStream(t, streamMessages(t)...).URL())
	for selector, want := range map[string]string{
		"#acked": "35", "#rides": "33", "#rejected": "2", "#inflight": "0", "#verdict": "the two counts agree",
		"#producer": "a.csv, line 36", "#queue": "0 messages", "#writer": "host/2", "#database": "33 rows",
		"#marks": "host/2 took over after 1.5 s", "#clock": "00:00–01:00, 1 Feb 2022", "#hours": "99",
		"#busiest": "Times Sq-42 St", "#latest": "a.csv:34", "#nowhere": hostileName, "#rejects": `<b>many</b>`,
	} {
		text(page, selector, want)
	}
	page.Click("#stations summary")
	text(page, "#stations tbody tr:nth-child(2)", hostileName)
	text(page, "#stations tbody tr:nth-child(1)", "84")
	page.Click("#latest button")
	text(page, "#followed", "queued 5.0 s ago")
	text(page, "#followed", hostileName)
	if n := webtest.Eval[int](page, "document.scripts.length + document.images.length"); n != 1 {
		t.Errorf("the page has %d scripts and images, want its own script", n)
	}
	// Of the two stations with rows one has a place.
	if got := webtest.Eval[string](page, "map.dataset.circles"); got != "1" {
		t.Errorf("%s circles, want 1", got)
	}
	page.Wait(`document.querySelector("#nowriter").hidden`)
}

// A saved page shows what the live one did, from a file, without a server.
func TestStreamPageSaved(t *testing.T) {
	t.Parallel()
	server := serveStream(t)
	server.StreamState = playMessages(t)
	tell(t, server, server.Whole(streamStart.Add(2*time.Second)))
	live := webtest.Open(t, server.URL())
	text(live, "#acked", "35")
	answer, err := http.Get(server.URL() + "saved.html")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Disposition"); !strings.Contains(got, "attachment") {
		t.Errorf("Content-Disposition is %q: the page would open with the policy of the live one", got)
	}
	file := filepath.Join(t.TempDir(), "saved.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	saved := webtest.Open(t, "file://"+file)
	text(saved, "#acked", "35")
	for _, id := range []string{"queue", "database", "proof", "hours", "busiest", "latest", "marks", "rejects", "nowhere"} {
		shown := fmt.Sprintf("document.getElementById(%q).innerText", id)
		if got, want := webtest.Eval[string](saved, shown), webtest.Eval[string](live, shown); got != want {
			t.Errorf("the saved page shows as %s %q, the live one %q", id, got, want)
		}
	}
	saved.Wait("map.dataset.circles == 1 && pause.hidden && follower.hidden")
}

// What is slow or gone is said, and coloured.
func TestStreamPageWithoutWriter(t *testing.T) {
	t.Parallel()
	messages := streamMessages(t)
	page := webtest.Open(t, serveStream(t, messages[:len(messages)-1]...).URL())
	text(page, "#nowriter", "No writer for 1.5 s. Rows stay in the queue: 20 messages wait.")
	for id, class := range map[string]string{"producer": "ok", "queue": "slow", "writer": "bad", "database": "ok"} {
		page.Wait(fmt.Sprintf("document.getElementById(%q).className == %q", id, class))
	}
	text(page, "#writer", "standby: host/2")
	text(page, "#verdict", "20 rows on the way")
}

// At any width the page has no sideways scrolling, in both themes, and its text can be
// read.
func TestStreamPageFits(t *testing.T) {
	t.Parallel()
	page := webtest.Open(t, serveStream(t, streamMessages(t)...).URL())
	text(page, "#acked", "35")
	page.Click("#stations summary")
	backgrounds := map[string]bool{}
	for _, theme := range []string{"light", "dark"} {
		page.Theme(theme, false)
		for _, width := range []int64{320, 375, 768, 1280} {
			page.Size(width, 800)
			page.Wait(fmt.Sprintf("innerWidth == %d", width))
			if over := webtest.Eval[int](page, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				t.Errorf("%s, %d pixels wide: %d pixels too wide", theme, width, over)
			}
		}
		background := webtest.Eval[string](page, "getComputedStyle(document.body).backgroundColor")
		backgrounds[background] = true
	}
	if len(backgrounds) != 2 {
		t.Errorf("backgrounds %v, want one for each theme", backgrounds)
	}
}

// A ring for each commit, but not for who wants no motion.
func TestStreamPageRings(t *testing.T) {
	t.Parallel()
	messages := streamMessages(t)
	server := serveStream(t, messages...)
	last := *messages[len(messages)-1].(*TickMessage)
	page := webtest.Open(t, server.URL())
	text(page, "#acked", "35")
	page.Wait("map.dataset.rings == 0")
	for !webtest.Eval[bool](page, "map.dataset.rings > 0") { // on a slow machine a ring can end before it is drawn
		last.At += 100
		tell(t, server, &last)
		time.Sleep(100 * time.Millisecond) // between two commits
	}
	page.Wait("map.dataset.rings == 0") // and the page is at rest again

	page.Theme("light", true)
	before := webtest.Eval[string](page, "document.querySelector('#busiest b').innerText")
	tell(t, server, &last)
	page.Wait(fmt.Sprintf("document.querySelector('#busiest b').innerText != %q", before))
	if got := webtest.Eval[string](page, "map.dataset.rings"); got != "0" {
		t.Errorf("%s rings in spite of reduced motion", got)
	}
}

// A pause stops the picture and loses nothing.
func TestStreamPagePause(t *testing.T) {
	t.Parallel()
	messages := streamMessages(t)
	server := serveStream(t, messages[:3]...)
	page := webtest.Open(t, server.URL())
	text(page, "#rides", "8")
	page.Click("#pause")
	tell(t, server, messages[3:]...)
	text(page, "#pause", "Continue (25 rows since)")
	if got := webtest.Eval[string](page, "rides.innerText"); got != "8" {
		t.Errorf("%s rows are shown during the pause, want 8", got)
	}
	page.Click("#pause")
	text(page, "#rides", "33")
	text(page, "#busiest", "84 riders")
}

// The keyboard reaches the stations of the map one by one, and the table.
func TestStreamPageKeyboard(t *testing.T) {
	t.Parallel()
	page := webtest.Open(t, serveStream(t, streamMessages(t)...).URL())
	text(page, "#acked", "35")
	page.Key(kb.Tab)
	if got := webtest.Eval[string](page, "document.activeElement.className"); got != "skip" {
		t.Errorf("the first Tab goes to %q, want the link to the table", got)
	}
	for range 3 {
		page.Key(kb.Tab)
		if webtest.Eval[bool](page, "document.activeElement == map") {
			break
		}
	}
	page.Key(kb.ArrowRight)
	text(page, "#tip", "Times Sq-42 St")
	text(page, "#tip", "84 riders in 28 rows")
	page.Key(kb.Escape)
	page.Wait("tip.hidden")
}

// The page says when its server is gone, and shows on when it is back.
func TestStreamPageSaysThatItIsLost(t *testing.T) {
	t.Parallel()
	p, err := NewStreamPage(Options{Addr: "127.0.0.1:0"}, "var/turnstile.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	tell(t, p, streamMessages(t)...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	page := webtest.Open(t, p.URL())
	text(page, "#acked", "35")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	page.Wait("!lost.hidden")
	page.WaitConsole("ERR_CONNECTION_REFUSED")
}

// A message of another version is refused, not misread.
func TestStreamPageOfAnotherVersion(t *testing.T) {
	t.Parallel()
	page := webtest.Open(t, serveStream(t, map[string]any{"type": "stream", "version": 99}).URL())
	text(page, "#lost", "version 99")
}

// With all stations ringing ten times a second, a frame stays short.
func TestStreamPageIsSmooth(t *testing.T) {
	p := play(t)
	server := serveStream(t, p.Whole(p.now))
	page := webtest.Open(t, server.URL())
	ticks := func(n int) {
		for range n {
			for _, s := range p.base {
				p.commit("host/1", s.ID, 10)
			}
			p.pass(100 * time.Millisecond)
			m, _ := p.Tick(p.now)
			tell(t, server, m)
		}
	}
	for !webtest.Eval[bool](page, "map.dataset.rings > 400") { // on a slow machine rings can end before they are drawn
		ticks(8)
	}
	if n := webtest.Eval[int](page, "Number(map.dataset.rings)"); n >= 2*len(p.base) {
		t.Errorf("%d rings of %d stations: one at a time is enough", n, len(p.base))
	}
	const frames = 10
	start := page.CPUTime()
	webtest.Eval[bool](page, fmt.Sprintf(`new Promise(done => { let n = 0, step = () => ++n < %d ? requestAnimationFrame(step) : done(true); requestAnimationFrame(step); })`, frames))
	frame := (page.CPUTime() - start) / frames
	t.Logf("a frame takes %s of CPU time", frame)
	if frame > 400*time.Millisecond {
		t.Errorf("a frame takes %s of CPU time", frame)
	}
}

// The script is small enough to be read.
func TestStreamScriptIsSmall(t *testing.T) {
	script, err := streamFiles.ReadFile("stream.js")
	if err != nil {
		t.Fatal(err)
	}
	if len(script) > 22<<10 {
		t.Errorf("stream.js has %d bytes", len(script))
	}
	for _, word := range []string{"innerHTML", "insertAdjacent", "document.write", "eval("} {
		if strings.Contains(string(script), word) {
			t.Errorf("stream.js has %s", word)
		}
	}
}
