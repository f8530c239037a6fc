package natsd

// Health: is the server well, and can the queue take a row? Both are asked over
// HTTP, for containers without a shell, and in process, for the log. Neither needs
// a login, so both work in a cluster and with users in the configuration file.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// CheckHealth returns an error unless the server with this monitoring address is
// healthy. The check includes JetStream and its streams, not only the connection. A
// server whose queue is full is healthy: see [AskQueue].
func CheckHealth(ctx context.Context, monitor string) error {
	var health struct{ Status, Error string }
	status, err := get(ctx, monitor, "/healthz", &health)
	if err == nil && (status != "200 OK" || health.Status != "ok") {
		err = fmt.Errorf("%s: %s %s", status, health.Status, health.Error)
	}
	if err != nil {
		return fmt.Errorf("health of %s: %w", monitor, err)
	}
	return nil
}

// Health is CheckHealth for this server, in process.
func (s *Server) Health() error {
	if h := s.ns.Healthz(nil); h.StatusCode != http.StatusOK {
		return errors.New(cmp.Or(h.Error, h.Status))
	}
	return nil
}

// A Queue is what a server holds of a stream.
type Queue struct {
	Messages, Bytes uint64
	Oldest          time.Duration // age of the oldest message; 0 if there is none
	MaxBytes        int64         // limit of Bytes; 0 or less: none
	Metadata        map[string]string
	Clustered       bool // other servers may hold it, too
	Leads           bool // this server speaks for all that hold it; not known over HTTP
}

// A NoStreamError reports that a server holds no such stream. In a cluster, other
// servers may hold it.
type NoStreamError struct {
	Stream    string
	Clustered bool
}

func (e *NoStreamError) Error() string { return "the server has no stream " + e.Stream }

// AskQueue returns what the server with this monitoring address holds of a stream.
func AskQueue(ctx context.Context, monitor, stream string) (Queue, error) {
	var info server.JSInfo
	status, err := get(ctx, monitor, "/jsz?streams=true&config=true", &info)
	if err == nil && status != "200 OK" {
		err = errors.New(status)
	}
	if err != nil {
		return Queue{}, fmt.Errorf("queue of %s: %w", monitor, err)
	}
	return findQueue(&info, stream, "")
}

// AskURL returns the URL for clients of the server with this monitoring address.
func AskURL(ctx context.Context, monitor string) (string, error) {
	var v struct {
		Host string
		Port int
		TLS  bool `json:"tls_required"`
	}
	if _, err := get(ctx, monitor, "/varz", &v); err != nil {
		return "", fmt.Errorf("address of %s: %w", monitor, err)
	}
	if ip := net.ParseIP(v.Host); ip != nil && ip.IsUnspecified() {
		v.Host = (&url.URL{Host: monitor}).Hostname()
	}
	scheme := "nats://"
	if v.TLS {
		scheme = "tls://"
	}
	return scheme + net.JoinHostPort(v.Host, strconv.Itoa(v.Port)), nil
}

// Queue returns what this server holds of a stream.
func (s *Server) Queue(stream string) (Queue, error) {
	info, err := s.ns.Jsz(&server.JSzOptions{Streams: true, Config: true})
	if err != nil {
		return Queue{}, fmt.Errorf("natsd: queue: %w", err)
	}
	return findQueue(info, stream, s.ns.Name())
}

// findQueue finds a stream, in whatever account it is.
func findQueue(info *server.JSInfo, stream, self string) (Queue, error) {
	for _, account := range info.AccountDetails {
		for _, d := range account.Streams {
			if d.Name != stream || d.Config == nil {
				continue
			}
			q := Queue{
				Messages: d.State.Msgs, Bytes: d.State.Bytes, MaxBytes: d.Config.MaxBytes,
				Metadata:  d.Config.Metadata,
				Clustered: info.Meta != nil, Leads: d.Cluster == nil || d.Cluster.Leader == self,
			}
			if q.Messages > 0 {
				q.Oldest = max(0, info.Now.Sub(d.State.FirstTime))
			}
			return q, nil
		}
	}
	return Queue{}, &NoStreamError{stream, info.Meta != nil}
}

// get decodes a JSON answer of a monitoring port, of whatever status.
func get(ctx context.Context, monitor, path string, into any) (status string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	return answer.Status, json.NewDecoder(answer.Body).Decode(into)
}
