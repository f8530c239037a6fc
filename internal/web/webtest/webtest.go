// Package webtest opens pages in a headless Chromium, for tests.
//
// A test package starts one browser, at its first page, and ends it in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }
package webtest

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

const (
	startLimit = time.Minute      // for the browser; of chromedp it would get 20 s
	pageLimit  = 10 * time.Minute // for all that a test does with a page
	waitLimit  = 3 * time.Minute  // a large page takes a minute where the machine is busy
	waitEvery  = 20 * time.Millisecond
)

// browser is the one browser of the test package.
var browser struct {
	start sync.Once
	ctx   context.Context
	end   func()
	err   error
}

// Main runs the tests and ends the browser, if one was started. It returns the
// exit status.
func Main(m *testing.M) int {
	status := m.Run()
	if browser.end != nil {
		browser.end()
	}
	return status
}

// Page is a tab of the browser. Its methods end the test where they fail.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu      sync.Mutex // guards the following
	console []string
	ignored bool
}

// A tab shows one page after the other: to open one costs a second of CPU time. Pages
// use neither cookies nor storage.
type tab struct {
	ctx   context.Context
	close context.CancelFunc
	page  atomic.Pointer[Page] // the one that it shows
}

// tabs are those that show nothing.
var tabs struct {
	sync.Mutex
	free []*tab
}

// Open opens a URL, 1280 x 900 pixels large, light. When the test ends, it fails if
// the page has written warnings or errors to the console that [Page.Console] did not
// return.
//
// Without Chromium the test is skipped; with CI=true it fails.
func Open(t testing.TB, url string) *Page {
	t.Helper()
	p := NewPage(t)
	p.Navigate(url)
	return p
}

// NewPage opens an empty page.
func NewPage(t testing.TB) *Page {
	t.Helper()
	needBrowser(t)
	shown, err := freeTab()
	if err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	p := &Page{t: t}
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(shown.ctx, pageLimit)
	shown.page.Store(p)
	t.Cleanup(func() {
		cancel()
		shown.reuse()
		if left := p.Console(); len(left) > 0 && !p.ignored {
			t.Errorf("the console is not empty:\n%s", strings.Join(left, "\n"))
		}
	})
	p.Size(1280, 900)
	p.Theme("light", false)
	return p
}

func freeTab() (*tab, error) {
	tabs.Lock()
	defer tabs.Unlock()
	if n := len(tabs.free); n > 0 {
		t := tabs.free[n-1]
		tabs.free = tabs.free[:n-1]
		return t, nil
	}
	t := &tab{}
	t.ctx, t.close = chromedp.NewContext(browser.ctx)
	if err := chromedp.Do(t.ctx); err != nil { // opens it; without a deadline, which would end the browser with the tab
		t.close()
		return nil, err
	}
	go t.listen(chromedp.Console(t.ctx))
	return t, nil
}

// listen gives the messages of the console to the page that the tab shows.
func (t *tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return // the tab is closed
		}
		if p := t.page.Load(); p != nil && (m.Type == chromedp.ConsoleWarning || m.Type == chromedp.ConsoleError || m.IsException()) {
			p.mu.Lock()
			p.console = append(p.console, fmt.Sprintf("%s (%s:%d)", m, m.URL, m.Line+1))
			p.mu.Unlock()
		}
	}
}

// reuse empties the tab for the next page. One that does not answer is closed.
func (t *tab) reuse() {
	t.page.Store(nil)
	ctx, cancel := context.WithTimeout(t.ctx, waitLimit)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.close()
		return
	}
	tabs.Lock()
	defer tabs.Unlock()
	tabs.free = append(tabs.free, t)
}

func needBrowser(t testing.TB) {
	t.Helper()
	browser.start.Do(startBrowser)
	switch {
	case browser.err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("no Chromium: %v", browser.err)
	default:
		t.Skipf("NOT RUN: this test needs Chromium: %v", browser.err)
	}
}

func startBrowser() {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}
	i := slices.IndexFunc(names, func(name string) bool { _, err := exec.LookPath(name); return err == nil })
	if i < 0 {
		browser.err = fmt.Errorf("none of %s is in PATH", strings.Join(names, ", "))
		return
	}
	// It opens only pages of the tests. Its sandbox does not work as root, nor
	// in most containers.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(names[i]), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(startLimit),
		// The first two are chromedp's. The pop-ups of the address bar are pages of their
		// own, which nobody sees and which take as much CPU time as a page under test.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,WebUIOmniboxPopup,WebUIOmniboxAimPopup"))
	allocated, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocated)
	browser.ctx, browser.end = ctx, func() { end(); endAllocator() }
	browser.err = chromedp.Do(ctx)
}

// Navigate loads a URL in the same tab, and waits until it is loaded.
func (p *Page) Navigate(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

func (p *Page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("browser: %v\nconsole: %q", err, p.console)
	}
}

// Console returns the warnings, errors and uncaught exceptions since it was
// called last.
func (p *Page) Console() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.console
	p.console = nil
	return all
}

// IgnoreConsole is for a page that is made to go wrong.
func (p *Page) IgnoreConsole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignored = true
}

// WaitConsole waits for a message with a text in the console, and returns the
// messages until then.
func (p *Page) WaitConsole(text string) []string {
	p.t.Helper()
	var all []string
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(waitEvery) {
		all = append(all, p.Console()...)
		if slices.ContainsFunc(all, func(m string) bool { return strings.Contains(m, text) }) {
			return all
		}
	}
	p.t.Fatalf("no %q in the console: %q", text, all)
	return nil
}

// Size sets the size of the window, in CSS pixels.
func (p *Page) Size(width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height))
}

// Theme sets what the person prefers: the colour scheme "light" or "dark", and
// whether reduced motion.
func (p *Page) Theme(scheme string, reducedMotion bool) {
	p.t.Helper()
	motion := "no-preference"
	if reducedMotion {
		motion = "reduce"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}}
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, media)
		return err
	}))
}

// Key presses keys, such as "a" or those of package kb.
func (p *Page) Key(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// Click clicks the first element that a CSS selector finds.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// Drag presses the mouse at one place, moves it in steps to another and lets it go.
func (p *Page) Drag(fromX, fromY, toX, toY float64) {
	p.t.Helper()
	p.mouse(input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMousePressed, X: fromX, Y: fromY, Button: input.MouseButtonLeft, Buttons: 1, ClickCount: 1})
	const steps = 4
	for i := 1.0; i <= steps; i++ {
		x, y := fromX+(toX-fromX)*i/steps, fromY+(toY-fromY)*i/steps
		p.mouse(input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: x, Y: y, Button: input.MouseButtonLeft, Buttons: 1})
	}
	p.mouse(input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseReleased, X: toX, Y: toY, Button: input.MouseButtonLeft, ClickCount: 1})
}

// Wheel turns the mouse wheel, by so many pixels, with or without Ctrl.
func (p *Page) Wheel(x, y, by float64, ctrl bool) {
	p.t.Helper()
	event := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseWheel, X: x, Y: y, DeltaX: 1e-9, DeltaY: by} // 0 is left out, and then refused
	if ctrl {
		event.Modifiers = 2
	}
	p.mouse(event)
}

func (p *Page) mouse(event input.DispatchMouseEventParams) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, input.DispatchMouseEvent, event)
		return err
	}))
}

// Pinch puts two fingers on the page, at the same height, and moves them apart.
func (p *Page) Pinch(x1, x2, y, toX1, toX2 float64) {
	p.t.Helper()
	fingers := func(x1, x2 float64) []*input.TouchPoint {
		return []*input.TouchPoint{{X: x1, Y: y, ID: new(1.0)}, {X: x2, Y: y, ID: new(2.0)}}
	}
	for _, event := range []input.DispatchTouchEventParams{
		{Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: fingers(x1, x2)},
		{Type: input.DispatchTouchEventTypeTouchMove, TouchPoints: fingers((x1+toX1)/2, (x2+toX2)/2)},
		{Type: input.DispatchTouchEventTypeTouchMove, TouchPoints: fingers(toX1, toX2)},
		{Type: input.DispatchTouchEventTypeTouchEnd, TouchPoints: []*input.TouchPoint{}},
	} {
		p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, input.DispatchTouchEvent, event)
			return err
		}))
	}
}

// Eval evaluates a JavaScript expression. A promise is waited for.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v\nconsole: %q", expression, err, p.Console())
	}
	return v
}

// Wait waits until a JavaScript expression is true.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(waitEvery) {
		if Eval[bool](p, "!!("+expression+")") {
			return
		}
	}
	p.t.Fatalf("not after %s: %s\nconsole: %q\npage: %.2000s", waitLimit, expression, p.Console(), Eval[string](p, "document.body.innerText"))
}

// CPUTime returns the CPU time that the page has taken. Unlike the time that passes,
// it tells what a page costs from what else the machine does.
func (p *Page) CPUTime() time.Duration {
	p.t.Helper()
	var seconds float64
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, performance.Enable, performance.EnableParams{}); err != nil {
			return err
		}
		metrics, err := cdp.Call(ctx, tab, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, m := range metrics.Metrics {
			if m.Name == "ProcessTime" {
				seconds = m.Value
			}
		}
		return nil
	}))
	return time.Duration(seconds * float64(time.Second))
}

// Screenshot returns what the window shows, as PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("screenshot: %v", err)
	}
	return png
}
