package e2e

// The docker-compose project of a test: its commands, logs and removal.

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// sampleRows are the records of data/sample.csv.
const sampleRows = 2000

type project struct {
	t     *testing.T // of the subtest that runs
	whole *testing.T
	name  string
	image string
	dir   string // of docker-compose.yml; "": the project's own
	env   []string
	// sender is the log of the file that is sent in the background.
	sender string
	// profile is for services that have one.
	profile []string
	sent    map[string]int // records by source, for a count at the end
}

// composeCommand is docker-compose, or the docker plugin that replaces it.
func composeCommand() []string {
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return []string{"docker-compose"}
	}
	return []string{"docker", "compose"}
}

// buildImage builds the image of all tests, and removes it after them.
func buildImage(t *testing.T) string {
	t.Helper()
	c := &project{t: t, image: fmt.Sprintf("turnstile-e2e-%08x", rand.Uint32())}
	c.name = c.image
	start := time.Now()
	c.compose("build")
	t.Logf("the image took %v", time.Since(start).Round(time.Second))
	t.Cleanup(func() { c.docker("image", "rm", "--force", c.image) })
	return c.image
}

func newProject(t *testing.T, image string) *project {
	t.Helper()
	c := &project{
		t: t, whole: t, image: image, name: fmt.Sprintf("turnstile-e2e-%08x", rand.Uint32()), sent: map[string]int{},
	}
	t.Cleanup(func() {
		c.t = t // that of the subtest has ended
		c.down()
	})
	return c
}

// in makes failures count for the subtest that runs.
func (c *project) in(t *testing.T) *project {
	c.t = t
	return c
}

// down removes the project, and shows its logs if the test has failed.
func (c *project) down() {
	c.t.Helper()
	if c.whole.Failed() && len(c.containers("")) > 0 {
		said, err := os.ReadFile(c.sender)
		c.whole.Logf("logs:\n%s\nthe sender (%v):\n%s", lastLines(c.logs(), 300), err, lastLines(string(said), 50))
	}
	c.compose("down", "-v", "--remove-orphans", "-t", "5")
}

func (c *project) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	words := append([]string{name}, args...)
	if name == "docker-compose" {
		words = append(append(composeCommand(), "--project-name", c.name), c.profile...)
		words = append(words, args...)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = cmp.Or(c.dir, root)
	// Port 0 is any free port of the host. Docker may be busy for more than docker-compose's
	// minute.
	cmd.Env = append(os.Environ(), append(c.env, "TURNSTILE_IMAGE="+c.image, "COMPOSE_HTTP_TIMEOUT=900", "BROKER_PORT=0", "MONITOR_PORT=0", "PAGE_PORT=0", "CLUSTER_PAGE_PORT=0")...)
	return cmd
}

// compose runs docker-compose and returns its standard output.
func (c *project) compose(args ...string) string {
	c.t.Helper()
	return c.output("docker-compose", args...)
}

func (c *project) docker(args ...string) string {
	c.t.Helper()
	return c.output("docker", args...)
}

func (c *project) output(name string, args ...string) string {
	c.t.Helper()
	// Only a build takes minutes: two on two idle cores.
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	cmd := c.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("%s: %v\n%s%s", cmd, err, lastLines(stdout.String(), 50), lastLines(stderr.String(), 50))
	}
	if name == "docker" && len(args) > 0 && args[0] == "logs" {
		return stdout.String() + stderr.String()
	}
	return strings.TrimSpace(stdout.String())
}

// try runs docker-compose, and may fail.
func (c *project) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), composePatience)
	defer cancel()
	out, err := c.command(ctx, "docker-compose", args...).CombinedOutput()
	return string(out), err
}

func (c *project) logs(service ...string) string {
	c.t.Helper()
	return c.compose(append([]string{"logs", "--no-color"}, service...)...)
}

// containers returns the containers of a service, or of all services, but not
// those of docker-compose run.
func (c *project) containers(service string) []string {
	c.t.Helper()
	args := []string{
		"ps", "-a", "-q", "--no-trunc", "--filter", "label=com.docker.compose.project=" + c.name,
		"--filter", "label=com.docker.compose.oneoff=False",
	}
	if service != "" {
		args = append(args, "--filter", "label=com.docker.compose.service="+service)
	}
	return strings.Fields(c.docker(args...))
}

func (c *project) container(service string) string {
	c.t.Helper()
	ids := c.containers(service)
	if len(ids) == 0 {
		c.t.Fatalf("%s has no container", service)
	}
	return ids[0]
}

func (c *project) inspect(id, format string) string {
	c.t.Helper()
	return c.docker("inspect", "--format", format, id)
}

// get asks a published port of a service, and returns what it answers with status 200.
func (c *project) get(service, port, path string) string {
	c.t.Helper()
	port = c.inspect(c.container(service), `{{(index (index .NetworkSettings.Ports "`+port+`/tcp") 0).HostPort}}`)
	answer, err := http.Get("http://127.0.0.1:" + port + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		c.t.Fatalf("%s%s: %s %v", service, path, answer.Status, err)
	}
	return string(text)
}

// composePatience is how long an event among containers may take. Only a failing test
// waits that long.
const composePatience = 5 * time.Minute

// until waits for a condition.
func (c *project) until(what string, yes func() bool) {
	c.t.Helper()
	for end := time.Now().Add(composePatience); !yes(); {
		if time.Now().After(end) {
			c.t.Fatalf("waited %v for: %s", composePatience, what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// secret is a role's password, from the volume of the service that made it.
func (c *project) secret(role string) string {
	c.t.Helper()
	return string(c.files("credentials", "/turnstile/credentials/"+role+"/password")["password"])
}

// files copies files out of a service's container, which may have ended.
func (c *project) files(service, from string) map[string][]byte {
	c.t.Helper()
	archive := c.command(context.Background(), "docker", "cp", c.container(service)+":"+from, "-")
	out, err := archive.Output()
	if err != nil {
		c.t.Fatalf("%s: %v", archive, err)
	}
	found := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if found[path.Base(header.Name)], err = io.ReadAll(r); err != nil {
			c.t.Fatal(err)
		}
	}
}

// lastLines are the last lines of a text.
func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
