// Package web has the pages: what the lab did as lanes on a time line, and the
// stream as a map. All that a page needs is embedded in the program.
//
// A page is a function of a list of messages, JSON objects with a "type". A live
// page gets them one by one from a [Hub], through a [Server]; a saved one has the
// same list in it.
package web

// The HTTP server of a page, and what keeps it safe.

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Options describe the server of a page.
type Options struct {
	Addr  string   // host:port; port 0 is any that is free
	Hosts []string // names by which browsers elsewhere reach it; nil: this machine only

	Files fs.FS    // where the files of the page are
	Index string   // the file of "/"; "": there is no page, only Data
	Names []string // the other files, each at "/" and its name

	Events  *Hub                                       // GET /events
	Data    map[string]http.Handler                    // GET "/" and a name
	Actions map[string]func(ctx context.Context) error // POST "/" and a name

	Log *slog.Logger // refused requests, at level debug; nil: none
}

// Server serves one page with its files, events and actions.
//
// What it is safe against, and by which check:
//
//	machines elsewhere         it listens on a loopback address, unless Hosts is set
//	DNS rebinding              the Host header must be a loopback address, localhost or in Hosts
//	pages of other sites       Origin must be the page's own; Sec-Fetch-Site must not be cross-site
//	forged actions (CSRF)      a POST needs an Origin and the token that is in the page
//	hostile text in the page   Content-Security-Policy: no inline script, no eval, trusted types
//	framing, sniffing, leaks   frame-ancestors, nosniff, no-referrer, same-origin policies
//	slow and dead clients      deadlines for headers, requests and each write; bounded viewers
//
// It has no login: who can reach the address sees the page.
type Server struct {
	options  Options
	listener net.Listener
	files    map[string]file // by URL path
	token    string
	viewers  chan struct{} // one element for each viewer of the events
	log      *slog.Logger
}

// types are the content types of files. Those of the system may be anything.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml",
}

type file struct {
	kind    string // content type
	content []byte
}

const (
	maxViewers      = 32
	requestLimit    = 30 * time.Second // for a request that is not the stream of events
	shutdownLimit   = time.Second
	tokenHeader     = "Turnstile-Token"
	tokenMark       = `<meta name="token" content="">`
	contentSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

// AddressProblem says what is wrong with an address.
type AddressProblem int

// What can be wrong with the address of a page.
const (
	BadAddress   AddressProblem = iota + 1 // not host:port
	NotLoopback                            // machines elsewhere can reach it, and Hosts is not set
	CannotListen                           // in use, or not of this machine
	BadHost                                // an element of Hosts is not a host name or an IP address
)

// AddressError is the error of an address that a page cannot have.
type AddressError struct {
	Addr    string
	Problem AddressProblem
	cause   error
}

func (e *AddressError) Error() string {
	switch e.Problem {
	case NotLoopback:
		return fmt.Sprintf("address %s: other machines could reach it", e.Addr)
	case BadHost:
		return fmt.Sprintf("%q is not a host name or an IP address", e.Addr)
	}
	switch cause := e.cause.(type) { // these name the address, too
	case *net.OpError:
		return fmt.Sprintf("address %s: %v", e.Addr, cause.Err)
	case *net.AddrError:
		return fmt.Sprintf("address %s: %s", e.Addr, cause.Err)
	}
	return fmt.Sprintf("address %s: %v", e.Addr, e.cause)
}

func (e *AddressError) Unwrap() error { return e.cause }

// NewServer reads the files and listens. It returns an [*AddressError] for an
// address that it cannot or must not listen on. [Server.Serve] answers and ends
// the listening.
func NewServer(o Options) (*Server, error) {
	o.Hosts = slices.Clone(o.Hosts)
	s := &Server{options: o, files: map[string]file{}, token: rand.Text(), viewers: make(chan struct{}, maxViewers), log: o.Log}
	if s.log == nil {
		s.log = discard
	}
	if err := s.readFiles(); err != nil {
		return nil, err
	}
	for i, host := range o.Hosts {
		o.Hosts[i] = strings.ToLower(host)
		if !isHost(host) {
			return nil, &AddressError{Addr: host, Problem: BadHost}
		}
	}
	addr, err := net.ResolveTCPAddr("tcp", o.Addr)
	if err != nil {
		return nil, &AddressError{o.Addr, BadAddress, err}
	}
	if !addr.IP.IsLoopback() && len(o.Hosts) == 0 {
		return nil, &AddressError{Addr: o.Addr, Problem: NotLoopback}
	}
	if s.listener, err = net.ListenTCP("tcp", addr); err != nil {
		return nil, &AddressError{o.Addr, CannotListen, err}
	}
	return s, nil
}

// isHost reports whether a name can be in a Host header, without a port.
func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	u, err := url.Parse("http://" + name + "/")
	return err == nil && name != "" && u.Host == name && !strings.ContainsAny(name, "*:@[]")
}

// readFiles reads all files of the page, and puts the token into the first.
func (s *Server) readFiles() error {
	if s.options.Index == "" {
		return nil
	}
	for _, name := range append([]string{s.options.Index}, s.options.Names...) {
		content, err := fs.ReadFile(s.options.Files, name)
		if err != nil {
			return fmt.Errorf("web: %w", err)
		}
		kind, ok := types[path.Ext(name)]
		if !ok {
			return fmt.Errorf("web: file %s: unknown type", name)
		}
		if path.Ext(name) == ".js" {
			if content, err = minified(name, content); err != nil {
				return err
			}
		}
		s.files["/"+name] = file{kind, content}
	}
	index := s.files["/"+s.options.Index]
	if len(s.options.Actions) > 0 {
		if !bytes.Contains(index.content, []byte(tokenMark)) {
			return fmt.Errorf("web: %s has no %s", s.options.Index, tokenMark)
		}
		filled := strings.Replace(tokenMark, `""`, `"`+s.token+`"`, 1)
		index.content = bytes.Replace(index.content, []byte(tokenMark), []byte(filled), 1)
	}
	s.files["/"] = index
	delete(s.files, "/"+s.options.Index)
	return nil
}

// URL returns where a browser on this machine finds the page.
func (s *Server) URL() string {
	addr := s.listener.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d/", addr.Port)
	}
	return "http://" + addr.String() + "/"
}

// Serve answers requests until the context ends, which is not an error. Then it
// ends every stream of events, and stops.
func (s *Server) Serve(ctx context.Context) error {
	base, end := context.WithCancel(ctx)
	defer end()
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: requestLimit, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("web: serve: %w", err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
	defer cancel()
	if err := server.Shutdown(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("web: stop: %w", err)
	}
	if err := server.Close(); err != nil { // of a client that does not go
		return fmt.Errorf("web: stop: %w", err)
	}
	return nil
}

var discard = slog.New(slog.DiscardHandler)

// refusal is the answer to a request that is not allowed.
type refusal struct {
	status int
	text   string
}

// ServeHTTP checks a request and answers it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if no := s.refuse(r); no != nil {
		s.log.Debug("request refused", "method", r.Method, "path", r.URL.Path, "host", r.Host,
			"origin", r.Header.Get("Origin"), "remote", r.RemoteAddr, "why", no.text)
		if no.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD")
		}
		http.Error(w, no.text, no.status)
		return
	}
	if r.URL.Path == "/events" && s.options.Events != nil {
		s.serveEvents(w, r)
		return
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestLimit)); err != nil {
		s.log.Debug("no write deadline", "error", err)
	}
	if r.Method == http.MethodPost {
		s.act(w, r)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if h, ok := s.options.Data[name]; ok {
		h.ServeHTTP(w, r)
		return
	}
	f, ok := s.files[r.URL.Path]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

func setHeaders(h http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      contentSecurity,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
	} {
		h.Set(name, value)
	}
}

// refuse returns why a request is not allowed, or nil.
func (s *Server) refuse(r *http.Request) *refusal {
	origin := r.Header.Get("Origin")
	_, action := s.options.Actions[strings.TrimPrefix(r.URL.Path, "/")]
	switch {
	case !s.knownHost(r.Host):
		return &refusal{http.StatusForbidden, "this page does not answer to the host " + clip(r.Host)}
	case origin != "" && !sameOrigin(origin, r.Host):
		return &refusal{http.StatusForbidden, "requests of other sites are refused"}
	case foreignFetch(r.Header):
		return &refusal{http.StatusForbidden, "requests of other sites are refused"}
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return nil
	case r.Method != http.MethodPost || !action:
		return &refusal{http.StatusMethodNotAllowed, "only GET"}
	case origin == "":
		return &refusal{http.StatusForbidden, "a POST needs an Origin"}
	case subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(s.token)) != 1:
		return &refusal{http.StatusForbidden, "a POST needs the token of the page: load the page again"}
	}
	return nil
}

// knownHost reports whether a Host header names this server. A name that an
// attacker let point here (DNS rebinding) is none of these.
func (s *Server) knownHost(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil { // no port
		host = hostPort
		if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
			host = host[1 : len(host)-1]
		}
	}
	host = strings.ToLower(host)
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" && addr.IsLoopback() {
		return true
	}
	return host == "localhost" || slices.Contains(s.options.Hosts, host)
}

// sameOrigin reports whether an Origin is the server that was asked. Its scheme
// may be that of a proxy.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, host)
}

// foreignFetch reports whether a browser says that another site makes this
// request. A person who follows a link to the page is allowed.
func foreignFetch(h http.Header) bool {
	site := h.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && h.Get("Sec-Fetch-Mode") != "navigate"
}

// clip shortens what a client sent, for a message.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return fmt.Sprintf("%q", s)
}

// serveEvents is for a bounded number of viewers. Their streams have no end,
// so they have no deadline but those of each write.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case s.viewers <- struct{}{}:
		defer func() { <-s.viewers }()
	default:
		http.Error(w, "too many viewers", http.StatusServiceUnavailable)
		return
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		s.log.Debug("no read deadline", "error", err)
	}
	s.options.Events.ServeHTTP(w, r)
}

// act runs an action. Its error is for the person at the page.
func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	if err := s.options.Actions[strings.TrimPrefix(r.URL.Path, "/")](r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
