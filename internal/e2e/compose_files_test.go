package e2e

// The files that a docker-compose project sends, verifies and counts.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// proved has consumer verify prove that a file is stored.
func (c *project) proved(service, file string, mount *ownedFile) {
	c.t.Helper()
	// It only reads the database and needs no broker.
	args := append([]string{"run", "--rm", "--no-deps"}, mount.volume()...)
	out := c.compose(append(args, service, "verify", "--format", "json", file)...)
	var proof struct {
		OK    bool
		Files []struct{ Records, Stored, Rejected int }
	}
	if err := json.Unmarshal([]byte(out), &proof); err != nil || !proof.OK || len(proof.Files) != 1 {
		c.t.Fatalf("verify %s: %v: %s", file, err, out)
	}
	if got := proof.Files[0]; got.Records != mount.records() || got.Stored+got.Rejected != got.Records {
		c.t.Fatalf("verify %s: %+v, want %d records", file, got, mount.records())
	}
	c.sent[baseName(file)] = mount.records()
}

// send sends a file until a consumer has stored all of it.
func (c *project) send(service, file string, mount *ownedFile) {
	c.t.Helper()
	c.compose(c.sending(service, file, mount)...)
}

func (c *project) sending(service, file string, mount *ownedFile, more ...string) []string {
	args := append([]string{"run", "--rm"}, mount.volume()...)
	return append(append(args, service, "--rate", "max", "--confirm", "stored", file), more...)
}

// inBackground sends a file and returns at once. The sender's log is shown if
// the test fails.
func (c *project) inBackground(service, file string, mount *ownedFile, more ...string) <-chan error {
	c.t.Helper()
	said, err := os.Create(filepath.Join(c.whole.TempDir(), "sender.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.sender = said.Name()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	cmd := c.command(ctx, "docker-compose", c.sending(service, file, mount, more...)...)
	cmd.Stdout, cmd.Stderr = said, said
	go func() {
		defer cancel()
		if err := errors.Join(cmd.Run(), said.Close()); err != nil {
			done <- fmt.Errorf("%s: %w", cmd, err)
		}
		close(done)
	}()
	return done
}

func (c *project) copyDatabase(service string) string {
	c.t.Helper()
	dir := c.t.TempDir()
	for name, text := range c.files(service, "/turnstile/var/.") {
		if !strings.HasPrefix(name, "turnstile.db") {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return filepath.Join(dir, "turnstile.db")
}

// countRows counts a source's rows and rejects.
func countRows(t *testing.T, file, source string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const query = `SELECT (SELECT count(*) FROM ridership WHERE source = ?1) +
		(SELECT count(*) FROM reject JOIN source ON source.id = reject.source WHERE source.name = ?1)`
	if err := db.QueryRow(query, source).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An ownedFile is a file of the user's; nil is the sample in the image.
type ownedFile struct {
	name, at string
	rows     int
}

// generate makes a file of rows.
func (c *project) generate(name string, rows int) *ownedFile {
	c.t.Helper()
	f := &ownedFile{name, filepath.Join(c.t.TempDir(), name), rows}
	cmd := exec.Command(binary(c.t, "generate"), "--rows", fmt.Sprint(rows), "--output", f.at)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	for at := f.at; at != filepath.Dir(at); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil || at == os.TempDir() {
			break // the container runs as another user
		}
	}
	return f
}

func (f *ownedFile) volume() []string {
	if f == nil {
		return nil
	}
	return []string{"-v", f.at + ":/turnstile/" + f.name + ":ro"}
}

func (f *ownedFile) records() int {
	if f == nil {
		return sampleRows
	}
	return f.rows
}

func baseName(file string) string { return path.Base(file) }
