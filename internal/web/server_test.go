package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

var testFiles = fstest.MapFS{
	"page.html": {Data: []byte(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>test</title>` + tokenMark +
		`<link rel="icon" href="data:,"><script src="page.js" defer></script></head><body><p id="out"></p></body></html>`)},
	"page.js": {Data: []byte(`
		window.messages = []
		new EventSource("events").onmessage = e => {
			messages.push(e.data)
			document.getElementById("out").textContent = messages.join(" ")
		}
		window.act = () => fetch("act", {method: "POST", headers: {"Turnstile-Token": document.querySelector("meta[name=token]").content}})`)},
	"secret.txt": {Data: []byte("not of the page")},
}

// startServer serves a page whose action counts, until the test ends.
func startServer(t testing.TB, change ...func(*Options)) (*Server, *atomic.Int64) {
	t.Helper()
	var acted atomic.Int64
	o := Options{
		Addr: "127.0.0.1:0", Files: testFiles, Index: "page.html", Names: []string{"page.js"}, Events: NewHub(),
		Actions: map[string]func(context.Context) error{"act": func(context.Context) error { acted.Add(1); return nil }},
		Data:    map[string]http.Handler{"data": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "data") })},
	}
	for _, f := range change {
		f(&o)
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	return s, &acted
}

// serve lets a server answer until the test ends.
func serve(t testing.TB, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// get asks a server for something, with headers "Name: value".
func get(t testing.TB, s *Server, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(s.URL(), "/")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") == "text/event-stream" {
		return answer, ""
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestRequests(t *testing.T) {
	s, acted := startServer(t)
	host := s.listener.Addr().String()
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	origin, token := "Origin: http://"+host, tokenHeader+": "+s.token
	for _, c := range []struct {
		what, method, path string
		headers            []string
		want               int
	}{
		{"the page", "GET", "/", nil, 200},
		{"its script", "GET", "/page.js", nil, 200},
		{"data", "GET", "/data", nil, 200},
		{"the events", "GET", "/events", nil, 200},
		{"HEAD", "HEAD", "/", nil, 200},
		{"HEAD of the events", "HEAD", "/events", nil, 200},
		{"a file that is not of the page", "GET", "/secret.txt", nil, 404},
		{"a path out of it", "GET", "/../server.go", nil, 404},
		{"GET of an action", "GET", "/act", nil, 404},

		{"localhost", "GET", "/", []string{"Host: localhost:" + port}, 200},
		{"LOCALHOST without a port", "GET", "/", []string{"Host: LOCALHOST"}, 200},
		{"IPv6 loopback", "GET", "/", []string{"Host: [::1]:" + port}, 200},
		{"a name that was let point here", "GET", "/", []string{"Host: evil.example:" + port}, 403},
		{"the events by that name", "GET", "/events", []string{"Host: evil.example:" + port}, 403},
		{"a name that looks like localhost", "GET", "/", []string{"Host: localhost.evil.example"}, 403},
		{"0.0.0.0", "GET", "/", []string{"Host: 0.0.0.0:" + port}, 403},
		{"another address", "GET", "/", []string{"Host: 192.168.1.2:" + port}, 403},

		{"the page's own Origin", "GET", "/events", []string{origin}, 200},
		{"another Origin", "GET", "/events", []string{"Origin: http://evil.example"}, 403},
		{"the same host, another port", "GET", "/events", []string{"Origin: http://127.0.0.1:1"}, 403},
		{"the Origin of a file", "GET", "/events", []string{"Origin: null"}, 403},
		{"a script tag on another site", "GET", "/page.js", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"another port of this machine", "GET", "/page.js", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"a link on another site", "GET", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200},

		{"PUT", "PUT", "/", []string{origin, token}, 405},
		{"DELETE of an action", "DELETE", "/act", []string{origin, token}, 405},
		{"POST to the page", "POST", "/", []string{origin, token}, 405},
		{"an action without a token", "POST", "/act", []string{origin}, 403},
		{"an action with another token", "POST", "/act", []string{origin, tokenHeader + ": AAAA"}, 403},
		{"an action without an Origin", "POST", "/act", []string{token}, 403},
		{"an action of another site", "POST", "/act", []string{"Origin: http://evil.example", token}, 403},
		{"an action by another name", "POST", "/act", []string{"Host: evil.example", "Origin: http://evil.example", token}, 403},
		{"an action", "POST", "/act", []string{origin, token}, 204},
	} {
		answer, body := get(t, s, c.method, c.path, c.headers...)
		if answer.StatusCode != c.want {
			t.Errorf("%s: %s %s: status %d %q, want %d", c.what, c.method, c.path, answer.StatusCode, body, c.want)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": contentSecurity, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.what, name, got, want)
			}
		}
		if strings.Contains(body, s.token) && c.want != 200 {
			t.Errorf("%s: a refusal has the token", c.what)
		}
	}
	if acted.Load() != 1 {
		t.Errorf("the action ran %d times, want once", acted.Load())
	}
}

func TestPolicyHasNoInlineScript(t *testing.T) {
	for _, word := range []string{"unsafe", "*", "http"} {
		if strings.Contains(contentSecurity, word) {
			t.Errorf("the policy has %q: %s", word, contentSecurity)
		}
	}
	for _, word := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(contentSecurity, word) {
			t.Errorf("the policy lacks %q: %s", word, contentSecurity)
		}
	}
}

func TestAddresses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		addr  string
		hosts []string
		want  AddressProblem // 0: it listens
	}{
		{"127.0.0.1:0", nil, 0},
		{"localhost:0", nil, 0},
		{"0.0.0.0:0", nil, NotLoopback},
		{":0", nil, NotLoopback},
		{"[::]:0", nil, NotLoopback},
		{"0.0.0.0:0", []string{"box.example"}, 0},
		{"127.0.0.1:0", []string{"box.example:80"}, BadHost},
		{"127.0.0.1:0", []string{"http://box.example"}, BadHost},
		{"127.0.0.1:0", []string{"*"}, BadHost},
		{"127.0.0.1:0", []string{""}, BadHost},
		{"8090", nil, BadAddress},
		{"127.0.0.1:port", nil, BadAddress},
		{taken.Addr().String(), nil, CannotListen},
	} {
		s, err := NewServer(Options{Addr: c.addr, Hosts: c.hosts, Files: testFiles, Index: "page.html"})
		e, _ := errors.AsType[*AddressError](err)
		switch {
		case c.want == 0 && err != nil, c.want != 0 && (e == nil || e.Problem != c.want):
			t.Errorf("%s %q: %v, want problem %d", c.addr, c.hosts, err, c.want)
		}
		if err == nil {
			s.listener.Close()
		}
	}
}

// What Hosts allows is that name, and not others.
func TestHostsOfOthers(t *testing.T) {
	s, _ := startServer(t, func(o *Options) { o.Addr, o.Hosts = "0.0.0.0:0", []string{"Box.example"} })
	for host, want := range map[string]int{"box.example:80": 200, "BOX.example": 200, "evil.example": 403, "127.0.0.1": 200, "10.1.2.3": 403} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", host, w.Code, want)
		}
	}
}

func TestViewersAreBounded(t *testing.T) {
	s, _ := startServer(t)
	var bodies []io.Closer
	view := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, answer.Body)
		return answer.StatusCode
	}
	for range maxViewers {
		if status := view(); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	if status := view(); status != 503 {
		t.Errorf("one viewer too many: status %d, want 503", status)
	}
	for _, b := range bodies {
		b.Close()
	}
	for end := time.Now().Add(time.Minute); view() != 200; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no room after the others have gone")
		}
	}
}

// A viewer that takes nothing holds up nobody: not who publishes, and not the
// other viewers.
func TestDeadViewerHoldsUpNobody(t *testing.T) {
	s, _ := startServer(t)
	dead, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close() // and never reads
	if _, err := io.WriteString(dead, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for len(s.viewers) == 0 {
		time.Sleep(time.Millisecond)
	}
	large := strings.Repeat("x", 1<<20) // 40 of them are more than the buffers of a connection hold
	start := time.Now()
	for range 40 {
		if err := s.options.Events.Publish("a", large); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took >= writeLimit { // when the dead one is given up
		t.Errorf("publishing took %s", took)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n, err := io.CopyN(io.Discard, answer.Body, 40<<20); err != nil {
		t.Errorf("another viewer got %d bytes: %v", n, err)
	}
	if n := len(s.viewers); n != 2 && time.Since(start) < writeLimit {
		t.Errorf("%d viewers, want the dead one and the other", n)
	}
}

func TestFailedActionSaysWhy(t *testing.T) {
	s, _ := startServer(t, func(o *Options) {
		o.Actions["act"] = func(context.Context) error { return errors.New("it runs already") }
	})
	answer, body := get(t, s, "POST", "/act", "Origin: "+strings.TrimSuffix(s.URL(), "/"), tokenHeader+": "+s.token)
	if answer.StatusCode != 409 || body != "it runs already\n" {
		t.Errorf("status %d %q", answer.StatusCode, body)
	}
}

// A page with actions and no place for the token could never act.
func TestPageWithoutAPlaceForTheToken(t *testing.T) {
	files := fstest.MapFS{"page.html": {Data: []byte("<p>")}}
	_, err := NewServer(Options{Addr: "127.0.0.1:0", Files: files, Index: "page.html", Actions: map[string]func(context.Context) error{"act": nil}})
	if err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("error %v", err)
	}
	_, err = NewServer(Options{Addr: "127.0.0.1:0", Files: files, Index: "page.html", Names: []string{"x.js"}})
	if err == nil || !strings.Contains(err.Error(), "x.js") {
		t.Errorf("error %v", err)
	}
}

// The server stops with its context, although a viewer looks on.
func TestServerStops(t *testing.T) {
	took := timeToStop(t)
	for range 4 { // attempts on a slow machine
		if took >= shutdownLimit {
			took = timeToStop(t)
		}
	}
	if took >= shutdownLimit {
		t.Errorf("it stopped after %s: the stream of events did not end", took)
	}
}

func timeToStop(t *testing.T) time.Duration {
	t.Helper()
	s, err := NewServer(Options{Addr: "127.0.0.1:0", Files: testFiles, Index: "page.html", Events: NewHub()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	answer, err := http.Get(s.URL() + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	start := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	took := time.Since(start)
	if _, err := io.ReadAll(answer.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if _, err := http.Get(s.URL()); err == nil {
		t.Error("it still answers")
	}
	return took
}
