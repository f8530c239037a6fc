package e2e

// TLS in containers, as OPERATIONS.md has it.

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// withTLS: the certificate and docker-compose.override.yml of OPERATIONS.md. Rows flow
// between a broker and clients that all use TLS.
func withTLS(t *testing.T, image string) {
	if os.Getuid() != 0 {
		t.Skip("NOT RUN: the key is made over to the user of the containers, which needs root")
	}
	document := readDocument(t, "OPERATIONS.md")
	certificate := find(t, document, "(?s)```sh\nmkdir -p tls\n(.*?)```")
	compose, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // it outlives the project, which is taken down from there
	c := newProject(t, image)
	c.dir = dir
	for name, text := range map[string]string{
		"docker-compose.yml": string(compose), "docker-compose.override.yml": find(t, document, "(?s)```yaml\n(services:.*?)```"),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(c.dir, "tls"), 0o755); err != nil {
		t.Fatal(err)
	}
	commands := exec.Command("sh", "-e", "-c", strings.ReplaceAll(certificate, "sudo ", ""))
	commands.Dir = c.dir
	if out, err := commands.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", certificate, err, out)
	}
	c.env = append(c.env, "RATE=max")
	c.compose("up", "-d")
	c.send("producer", "data/sample.csv", nil)
	c.proved("consumer", "data/sample.csv", nil)
	c.until("the page has connected, too", func() bool { // no client can without TLS
		return strings.Contains(c.get("broker", "8222", "/connz"), `"turnstile page `)
	})
	nothingStays(t, c)
}

// find returns what a document has at the first group of a pattern.
func find(t *testing.T, document, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(document)
	if m == nil {
		t.Fatalf("no %s", pattern)
	}
	return m[1]
}
