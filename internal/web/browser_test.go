package web

// The server as a browser sees it.

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"turnstile/internal/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

func TestBrowserGetsMessages(t *testing.T) {
	s, acted := startServer(t)
	hub := s.options.Events
	publish(t, hub, "a", 1, 2)
	page := webtest.Open(t, s.URL())
	page.Wait(`out.textContent == '{"type":"reset"} 1 2'`)
	publish(t, hub, "a", 3)
	page.Wait(`out.textContent == '{"type":"reset"} 1 2 3'`)

	late := webtest.Open(t, s.URL())
	late.Wait(`out.textContent == '{"type":"reset"} 1 2 3'`)

	if status := webtest.Eval[int](page, `act().then(answer => answer.status)`); status != 204 || acted.Load() != 1 {
		t.Errorf("the action: status %d, ran %d times", status, acted.Load())
	}
}

// A browser finds the page again by itself when the program starts again, and
// does not mix what it was told by the two.
func TestBrowserComesBack(t *testing.T) {
	o := Options{Addr: "127.0.0.1:0", Files: testFiles, Index: "page.html", Names: []string{"page.js"}}
	run := func(value int) (end func()) {
		o.Events = NewHub()
		publish(t, o.Events, "a", value)
		s, err := NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		o.Addr = s.listener.Addr().(*net.TCPAddr).String()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	end := run(1)
	page := webtest.Open(t, "http://"+o.Addr)
	page.Wait(`out.textContent == '{"type":"reset"} 1'`)
	end()
	defer run(2)()
	page.Wait(`out.textContent.endsWith('{"type":"reset"} 2')`)
	for _, line := range page.Console() { // the time without a server
		if !strings.Contains(line, "net::ERR_") {
			t.Error(line)
		}
	}
}

// Whatever gets into a page, it is not run.
func TestBrowserRunsNoInjectedScript(t *testing.T) {
	files := fstest.MapFS{
		"page.html": {Data: []byte(`<!doctype html><html lang="en"><title>t</title><link rel="icon" href="data:,">
			<p id="out" onclick="window.ran = 'handler'">x</p><script>window.ran = "inline"</script><script src="page.js"></script></html>`)},
		"page.js": testFiles["page.js"],
	}
	s, _ := startServer(t, func(o *Options) { o.Files, o.Actions = files, nil })
	page := webtest.Open(t, s.URL())
	page.IgnoreConsole()
	page.WaitConsole("Content Security Policy")
	page.Click("#out")
	for name, inject := range map[string]string{
		"a script element": `document.body.append(Object.assign(document.createElement("script"), {text: "window.ran = 1"}))`,
		"innerHTML":        `document.body.innerHTML = "<img src=x onerror='window.ran = 1'>"`,
		"a handler":        `out.setAttribute("onclick", "window.ran = 1"), out.click()`,
		"a script URL":     `location.href = "javascript:window.ran = 1"`,
	} {
		// From a timer, because the policy does not hold for what a debugger evaluates.
		webtest.Eval[int](page, `new Promise(done => setTimeout(() => { setTimeout(done, 20, 1); `+inject+` }))`)
		if ran := webtest.Eval[string](page, `String(window.ran)`); ran != "undefined" {
			t.Errorf("%s: ran %s", name, ran)
		}
	}
}

// A page of another site can neither read this one nor make it act.
func TestBrowserOnAnotherSite(t *testing.T) {
	s, acted := startServer(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><body>`)
	}))
	defer other.Close()
	page := webtest.Open(t, other.URL)
	page.IgnoreConsole()
	for _, attempt := range []string{
		`fetch("` + s.URL() + `").then(() => "done", () => "refused")`,
		`new Promise(end => { const x = document.createElement("script"); x.src = "` + s.URL() + `page.js"
			x.onload = () => end("done"); x.onerror = () => end("refused"); document.body.append(x) })`,
		`new Promise(end => { const x = new EventSource("` + s.URL() + `events"); x.onopen = () => end("done"); x.onerror = () => end("refused") })`,
		`fetch("` + s.URL() + `act", {method: "POST", headers: {"` + tokenHeader + `": "` + s.token + `"}}).then(() => "done", () => "refused")`,
	} {
		if got := webtest.Eval[string](page, attempt); got != "refused" {
			t.Errorf("%s: %s", attempt, got)
		}
	}
	// This one is sent without asking, and its answer is hidden from the page.
	webtest.Eval[string](page, `fetch("`+s.URL()+`act", {method: "POST", mode: "no-cors"}).then(() => "sent", () => "refused")`)
	if acted.Load() != 0 {
		t.Error("the action ran")
	}
}
