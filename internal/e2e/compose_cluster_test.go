package e2e

// Three brokers: while rows are in flight, the leader of the stream is stopped,
// and the next leader is disconnected from the network.

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	clusterRows = 200_000
	// flowsAgain is how long no row may pass after a broker is lost.
	flowsAgain = 15 * time.Second
)

func clusterFaults(t *testing.T, c *project) {
	c.compose("up", "-d", "cluster-consumer")
	f := c.generate("cluster.csv", clusterRows)
	if info := c.stream(); info.Config.Replicas != 3 || info.Cluster == nil {
		t.Fatalf("the stream has %d replicas: %+v", info.Config.Replicas, info.Cluster)
	}
	// At full speed the file would end before the faults do.
	sent := c.inBackground("cluster-producer", "cluster.csv", f, "--rate", "2000/s")

	c.passed(1000)
	leader := c.stream().Cluster.Leader
	c.compose("stop", "-t", "30", leader)
	c.goesOn("without "+leader, leader)
	c.compose("start", leader)
	c.allCurrent()

	c.passed(2000)
	leader = c.stream().Cluster.Leader
	id, network := c.container(leader), c.name+"_default"
	c.docker("network", "disconnect", network, id)
	c.goesOn("cut off from "+leader, leader)
	select {
	case err := <-sent:
		t.Fatalf("all was sent before the faults were over: %v", err)
	default:
	}
	// The test does not wait until this broker has all rows: at this pace its
	// catch-up may be restarted again and again.
	c.docker("network", "connect", "--alias", leader, network, id)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.proved("cluster-consumer", "cluster.csv", f)

	// Without a majority the broker that is left says that it is not well.
	c.compose("stop", "-t", "30", "broker-1", "broker-2")
	c.until(time.Minute, "the last broker is unhealthy", func() bool {
		out, err := c.try("exec", "-T", "broker-3", "broker", "healthcheck")
		return err != nil && strings.Contains(out, "health of")
	})
	c.compose("start", "broker-1", "broker-2")
	c.until(time.Minute, "it is healthy again", func() bool {
		_, err := c.try("exec", "-T", "broker-3", "broker", "healthcheck")
		return err == nil
	})
}

// stream asks any broker for the stream's state, by its address on the
// containers' network.
func (c *project) stream(without ...string) *jetstream.StreamInfo {
	c.t.Helper()
	var info *jetstream.StreamInfo
	c.until(time.Minute, "a broker answers for the stream", func() bool {
		var err error
		info, err = c.askStream(without)
		return err == nil && info.Cluster != nil && info.Cluster.Leader != ""
	})
	return info
}

func (c *project) askStream(without []string) (*jetstream.StreamInfo, error) {
	var urls []string
	for _, broker := range []string{"broker-1", "broker-2", "broker-3"} {
		if len(without) > 0 && broker == without[0] {
			continue
		}
		ip := c.inspect(c.container(broker), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
		if ip != "" {
			urls = append(urls, "nats://"+ip+":4222")
		}
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.UserInfo("admin", c.secret("admin")))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "MTA")
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// passed waits until so many more messages have passed.
func (c *project) passed(n uint64) {
	c.t.Helper()
	from := c.stream().State.LastSeq
	c.until(time.Minute, fmt.Sprintf("%d messages pass", n), func() bool { return c.stream().State.LastSeq >= from+n })
}

// goesOn waits until rows pass again, into the queue and into the database.
// The stream's ack floor is no measure: an acknowledgement that was lost with a
// broker is resent after half a minute.
func (c *project) goesOn(what, without string) {
	c.t.Helper()
	start := time.Now()
	before := c.stream(without).State
	since := time.Now().Add(time.Second) // earlier rows are logged by then
	queued, stored := false, false
	defer func() { c.t.Logf("%s: queued again %v, stored again %v", what, queued, stored) }()
	c.until(flowsAgain+15*time.Second, "rows are queued and stored again "+what, func() bool {
		queued = queued || c.stream(without).State.LastSeq > before.LastSeq+10
		stored = stored || c.storedSince(since)
		return queued && stored
	})
	took := time.Since(start)
	c.t.Logf("%s the flow went on after %v", what, took.Round(10*time.Millisecond))
	if took > flowsAgain {
		c.t.Errorf("%s it took %v", what, took)
	}
}

var storedSome = regexp.MustCompile(`msg=stored rows=[1-9]`)

func (c *project) storedSince(at time.Time) bool {
	c.t.Helper()
	return storedSome.MatchString(c.docker("logs", "--since", at.Format(time.RFC3339Nano), c.container("cluster-consumer")))
}

// allCurrent waits until each broker has all rows.
func (c *project) allCurrent() {
	c.t.Helper()
	start, last := time.Now(), ""
	defer func() { c.t.Logf("replicas after %v: %s", time.Since(start).Round(10*time.Millisecond), last) }()
	c.until(2*time.Minute, "all replicas are current", func() bool {
		info := c.stream()
		last = "leader " + info.Cluster.Leader
		current := len(info.Cluster.Replicas) == 2
		for _, r := range info.Cluster.Replicas {
			last += fmt.Sprintf(", %+v", *r)
			current = current && r.Current && !r.Offline
		}
		return current
	})
}
