package e2e

// The whole system in containers, by the docker-compose.yml that users have.
//
//	go test ./internal/e2e -run Compose -compose
//
// Project and image have random names, so no other containers are touched.

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"turnstile/internal/web/webtest"
)

var (
	withCompose  = flag.Bool("compose", false, "run the tests that need Docker (CI=true does, too)")
	composeImage = flag.String("compose-image", "", "an image that is there, instead of building one")
)

func TestCompose(t *testing.T) {
	if !*withCompose && os.Getenv("CI") != "true" {
		t.Skip("NOT RUN: the tests with containers need Docker and some minutes; ask for them with -compose, or CI=true")
	}
	image := *composeImage
	if image == "" {
		image = buildImage(t)
	}
	t.Run("one broker", func(t *testing.T) {
		c := newProject(t, image)
		t.Run("up", func(t *testing.T) { rowsFlow(t, c.in(t)) })
		t.Run("page", func(t *testing.T) { pageShows(t, c.in(t)) })
		t.Run("metrics", func(t *testing.T) { metricsAnswer(t, c.in(t)) })
		t.Run("secrets", func(t *testing.T) { nothingShows(t, c.in(t)) })
		t.Run("own file", func(t *testing.T) { ownFile(t, c.in(t)) })
		t.Run("producers", func(t *testing.T) { manyProducers(t, c.in(t)) })
		t.Run("takeover", func(t *testing.T) { takeover(t, c.in(t)) })
		t.Run("lab", func(t *testing.T) { labRuns(t, c.in(t)) })
		t.Run("count", func(t *testing.T) { countItself(t, c.in(t), "consumer") })
		t.Run("down", func(t *testing.T) { nothingStays(t, c.in(t)) })
	})
	t.Run("tls", func(t *testing.T) { withTLS(t, image) })
	t.Run("cluster", func(t *testing.T) {
		c := newProject(t, image)
		c.profile = []string{"--profile", "cluster"}
		t.Run("faults", func(t *testing.T) { clusterFaults(t, c.in(t)) })
		t.Run("count", func(t *testing.T) { countItself(t, c.in(t), "cluster-consumer") })
		t.Run("down", func(t *testing.T) { nothingStays(t, c.in(t)) })
	})
}

// A broker with a full queue is not healthy. Were its health a condition, the consumer
// that empties the queue would never start.
func TestNothingWaitsForTheBrokersHealth(t *testing.T) {
	compose := readDocument(t, "docker-compose.yml")
	if strings.Contains(compose, "service_healthy") {
		t.Error("a service of docker-compose.yml waits for another's health")
	}
	if n := strings.Count(compose, "service_started"); n < 5 {
		t.Errorf("service_started is there %d times", n)
	}
}

// rowsFlow: a fresh clone starts with one command, is healthy and stores rows.
func rowsFlow(t *testing.T, c *project) {
	c.compose("up", "-d")
	for _, service := range []string{"broker", "consumer"} {
		c.until(service+" is healthy", func() bool {
			return c.inspect(c.container(service), "{{.State.Health.Status}}") == "healthy"
		})
	}
	c.send("producer", "data/sample.csv", nil)
	c.proved("consumer", "data/sample.csv", nil)
	for _, service := range []string{"broker", "consumer", "producer", "page"} {
		got := c.inspect(c.container(service), "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{gt .HostConfig.Memory 0}}")
		if want := "65532:65532 true [ALL] true"; got != want {
			t.Errorf("%s: user, read-only, dropped, limited: %s, want %s", service, got, want)
		}
	}
	for _, service := range []string{"broker", "page"} {
		for _, binding := range strings.Fields(c.inspect(c.container(service), "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}")) {
			if binding != "127.0.0.1" {
				t.Errorf("the %s is published on %s", service, binding)
			}
		}
	}
	var size int64
	if err := json.Unmarshal([]byte(c.docker("image", "inspect", "--format", "{{.Size}}", c.image)), &size); err != nil || size > 90e6 {
		t.Errorf("the image has %d bytes (%v)", size, err)
	}
}

// pageShows: the published page has a circle for each station of the sample, names the
// writer, and its counts agree.
func pageShows(t *testing.T, c *project) {
	port := c.inspect(c.container("page"), `{{(index (index .NetworkSettings.Ports "8091/tcp") 0).HostPort}}`)
	page := webtest.Open(t, "http://127.0.0.1:"+port+"/")
	page.Wait(`map.dataset.circles == 72 && document.querySelectorAll("#rejects li").length == 5`)
	writer := c.inspect(c.container("consumer"), "{{.Config.Hostname}}")
	page.Wait(fmt.Sprintf(`writer.innerText.includes(%q) && verdict.innerText.includes("agree")`, writer))
}

// metricsAnswer: the consumer shows its metrics within the network of the project, and
// only under its own name.
func metricsAnswer(t *testing.T, c *project) {
	address := c.inspect(c.container("consumer"), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}") + ":8092"
	get := func(host, path string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status + "\n" + string(body)
	}
	for path, want := range map[string]string{
		"/metrics": "\nturnstile_rows_total{outcome=\"stored\"} 1995\n", "/readyz": "200 OK\nconsuming\n", "/healthz": "200 OK\nconsuming\n",
	} {
		if got := get("consumer:8092", path); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := get("evil.example", "/metrics"); !strings.HasPrefix(got, "403") {
		t.Errorf("another host: %s", got)
	}
}

// nothingShows: no password is in the image, on a command line, in the
// environment or in a log.
func nothingShows(t *testing.T, c *project) {
	seen := c.docker("image", "inspect", c.image) + c.docker("history", "--no-trunc", c.image) + c.logs()
	for _, id := range c.containers("") {
		seen += c.docker("inspect", id)
	}
	for _, role := range []string{"producer", "consumer", "page", "monitor", "admin"} {
		password := c.secret(role)
		if len(password) < 26 {
			t.Errorf("the password of %s has %d letters", role, len(password))
		}
		if strings.Contains(seen, password) {
			t.Errorf("the password of %s can be seen", role)
		}
	}
	// Each container has only its own password.
	if out, err := c.try("run", "--rm", "--no-deps", "-e", "NATS_USER=consumer", "-e", "NATS_PASSWORD_FILE=credentials/consumer/password",
		"producer", "data/sample.csv"); err == nil {
		t.Errorf("a producer reads the consumer's password: %s", out)
	}
	out, err := c.try("run", "--rm", "--no-deps", "-e", "NATS_USER=consumer", "producer", "data/sample.csv")
	if err == nil || !strings.Contains(out, "rejects user") || !strings.Contains(out, "hint:") {
		t.Errorf("the wrong password: %v: %s", err, out)
	}
}

// ownFile: a user's own file, as the README has it.
func ownFile(t *testing.T, c *project) {
	f := c.generate("mine.csv", 20_000)
	c.send("producer", "mine.csv", f)
	c.proved("consumer", "mine.csv", f)
}

// manyProducers: four producers send the same file at once.
func manyProducers(t *testing.T, c *project) {
	c.env = append(c.env, "RATE=max")
	c.compose("up", "-d", "--scale", "producer=4", "producer")
	c.until("four producers are done", func() bool {
		ids := c.containers("producer")
		for _, id := range ids {
			if c.inspect(id, "{{.State.Status}} {{.State.ExitCode}}") != "exited 0" {
				return false
			}
		}
		return len(ids) == 4
	})
	c.send("producer", "data/sample.csv", nil) // once more, to wait until all copies are stored
	c.proved("consumer", "data/sample.csv", nil)
}

// takeover: the writer of three consumers is killed, and a standby takes over. How
// quickly, TestTakeover knows.
func takeover(t *testing.T, c *project) {
	c.compose("up", "-d", "--no-recreate", "--scale", "consumer=3", "consumer")
	f := c.generate("takeover.csv", 100_000)
	sent := c.inBackground("producer", "takeover.csv", f, "--message-size", "4KiB")
	c.until("two stand by", func() bool {
		return strings.Count(c.logs("consumer"), "standing by") >= 2
	})
	active := c.container("consumer")
	for _, id := range c.containers("consumer") {
		if strings.Contains(c.docker("logs", id), "storing") {
			active = id
		}
	}
	c.docker("kill", "--signal", "KILL", active)
	c.until("another takes over", func() bool {
		return slices.ContainsFunc(c.containers("consumer"), func(id string) bool {
			return id != active && strings.Contains(c.docker("logs", id), "took over")
		})
	})
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.proved("consumer", "takeover.csv", f)
}

// labRuns: the lab in one container, where it can name the lock holders.
func labRuns(t *testing.T, c *project) {
	out := c.compose("run", "--rm", "lab", "--processes", "3", "--rows", "2", "--task", "300ms",
		"--busy-timeout", "20ms", "--strategies", "direct,queued", "--format", "json")
	var report struct {
		Trials []struct {
			Strategy            string
			Asked, Stored, Lost int
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(report.Trials) != 2 || report.Trials[0].Lost == 0 || report.Trials[1].Stored != 6 {
		t.Errorf("%+v", report.Trials)
	}
}

// countItself counts the rows without the project's code, in the database file
// of the consumer's volume after the consumer has stopped.
func countItself(t *testing.T, c *project, consumer string) {
	c.compose("stop", consumer)
	if len(c.sent) == 0 {
		t.Error("nothing was proved to be stored")
	}
	file := c.copyDatabase(consumer)
	for source, want := range c.sent {
		got := countRows(t, file, source)
		if got != want {
			t.Errorf("%s: %d rows and rejects in the database, want %d", source, got, want)
		}
	}
}

// nothingStays: containers, volumes and networks are removed.
func nothingStays(t *testing.T, c *project) {
	c.down()
	for _, kind := range []string{"container", "volume", "network"} {
		args := []string{kind, "ls", "-q", "--filter", "label=com.docker.compose.project=" + c.name}
		if kind == "container" {
			args = append(args, "-a")
		}
		if left := c.docker(args...); left != "" {
			t.Errorf("%s left behind: %s", kind, left)
		}
	}
}
