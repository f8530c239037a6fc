package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzServer sends requests of any shape to all handlers of a page. Whatever comes,
// the server does not fail, acts only on a request that a page of its own may have
// sent, and never leaves out its headers.
func FuzzServer(f *testing.F) {
	acted := false
	s, err := NewServer(Options{
		Addr: "127.0.0.1:0", Files: testFiles, Index: "page.html", Names: []string{"page.js"}, Events: NewHub(),
		Actions: map[string]func(context.Context) error{"act": func(context.Context) error { acted = true; return nil }},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.listener.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Add("GET", "/", "localhost", "", "", "", "")
	f.Add("POST", "/act", "localhost:1", "http://localhost:1", s.token, "same-origin", "")
	f.Add("GET", "/events", "[::1]:99", "", "", "none", "abc-18446744073709551615")
	f.Add("GET", "/", "evil.example", "", "", "", "")
	f.Add("GET", "/", "[::1", "", "", "", "")
	f.Add("GET", "/", "::1%lo", "", "", "", "")
	f.Add("GET", "/../secret.txt", "evil.example", "null", "", "cross-site", "")
	f.Fuzz(func(t *testing.T, method, path, host, origin, token, site, last string) {
		// A stream of events ends when the client has gone.
		ctx, gone := context.WithCancel(t.Context())
		gone()
		r := (&http.Request{
			Method: method, URL: &url.URL{Path: path}, Host: host, Body: http.NoBody,
			Header: http.Header{"Origin": {origin}, tokenHeader: {token}, "Sec-Fetch-Site": {site}, "Last-Event-Id": {last}},
		}).WithContext(ctx)
		acted = false
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if acted && (method != http.MethodPost || token != s.token || origin == "" || !s.knownHost(host)) {
			t.Errorf("acted on %s %q of host %q, origin %q", method, path, host, origin)
		}
		if w.Code < 300 && !ownHost(host) {
			t.Errorf("host %q was answered: %d", host, w.Code)
		}
		if w.Code < 300 && method != http.MethodGet && method != http.MethodHead && !acted {
			t.Errorf("%s was answered: %d", method, w.Code)
		}
		if w.Code >= 500 {
			t.Errorf("%s %q: status %d", method, path, w.Code)
		}
		if w.Header().Get("Content-Security-Policy") != contentSecurity {
			t.Errorf("%s %q: no Content-Security-Policy", method, path)
		}
	})
}

// ownHost says in its own way what a page of this machine answers to.
func ownHost(host string) bool {
	name := strings.ToLower(host)
	if i := strings.LastIndexByte(name, ':'); i >= 0 && net.ParseIP(name) == nil && !strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	name, _, _ = strings.Cut(strings.Trim(name, "[]"), "%")
	return name == "localhost" || net.ParseIP(name).IsLoopback()
}
