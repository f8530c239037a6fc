package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"
)

// cure returns the code blocks of a section of CURES.md.
func cure(t *testing.T, section string) []string {
	t.Helper()
	text, err := os.ReadFile("CURES.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("CURES.md has no section %s", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var blocks []string
	for i, part := range strings.Split(rest, "```") {
		if i%2 == 1 {
			_, code, _ := strings.Cut(part, "\n")
			blocks = append(blocks, code)
		}
	}
	return blocks
}

// python is the interpreter itself: python3 may be a script that first looks for the
// right version, which takes longer than what is done with it here.
var python = sync.OnceValue(func() string {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return "python3" // not there: who starts it says so
	}
	return strings.TrimSpace(string(out))
})

// TestCures: the code of CURES.md stores every row of several processes that
// write at once, and in WAL mode.
func TestCures(t *testing.T) {
	t.Parallel()
	const processes, rows = 4, 10
	for _, c := range []struct {
		name    string
		command []string // that runs the program, if it is there
		file    string
		program func(blocks []string) string
	}{
		{"Python", []string{python(), "-c", ""}, "write.py", func(b []string) string {
			return "import sqlite3, time\ndef fetch_riders():\n    time.sleep(0.001)\n    return 7\nfor _ in range(10):\n" + indent(b[0]) + "    db.close()\n"
		}},
		{"Go", []string{"go", "version"}, "main.go", func(b []string) string {
			code := strings.NewReplacer("db, err := ", "db, _ := ", "tx, err := ", "tx, _ := ", "\n_, err = ", "\n_, err := ", "\nerr = tx", "\nif err != nil {\n panic(err)\n}\nerr = tx").Replace(b[0])
			return "package main\nimport (\n\"context\"\n\"database/sql\"\n_ \"modernc.org/sqlite\"\n)\nfunc fetchRiders() int { return 7 }\n" +
				"func main() {\nctx := context.Background()\nfor range 10 {\nfunc() {\n" + code + "if err != nil {\n panic(err)\n}\ndb.Close()\n}()\n}\n}\n"
		}},
		{"Django", []string{python(), "-c", "import django; assert django.VERSION >= (5, 1)"}, "write.py", func(b []string) string {
			return "import django, time\nfrom django.conf import settings\n" + b[0] +
				"settings.configure(DATABASES=DATABASES)\ndjango.setup()\nfrom django.db import models, transaction\n" +
				"class Ride(models.Model):\n    riders = models.IntegerField(primary_key=False)\n    class Meta:\n        app_label = 'app'\n        db_table = 'ride'\n" +
				"def fetch_riders():\n    return 7\nfor _ in range(10):\n" + indent(b[1])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(c.command[0], c.command[1:]...).CombinedOutput(); err != nil {
				t.Skipf("SKIPPED: %s is not here: %v: %s", c.name, err, out)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, c.file)
			if err := os.WriteFile(file, []byte(c.program(cure(t, c.name))), 0o600); err != nil {
				t.Fatal(err)
			}
			command := []string{python(), file}
			if c.name == "Go" {
				command = []string{filepath.Join(dir, "write")}
				if out, err := exec.Command("go", "build", "-o", command[0], file).CombinedOutput(); err != nil { // here, where go.mod is
					t.Fatalf("build: %v: %s", err, out)
				}
			}
			table := "CREATE TABLE ride (riders INTEGER)"
			if c.name == "Django" {
				table = "CREATE TABLE ride (id INTEGER PRIMARY KEY, riders INTEGER)"
			}
			query(t, dir, table)
			write := func() {
				cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
			write() // alone: while the first one sets WAL mode, SQLite can refuse another at once
			var wg sync.WaitGroup
			for range processes - 1 {
				wg.Go(write)
			}
			wg.Wait()
			if got, want := query(t, dir, "SELECT count(*) || ' ' || sum(riders) FROM ride"), fmt.Sprint(processes*rows, " ", processes*rows*7); got != want {
				t.Errorf("rows and sum %s, want %s", got, want)
			}
			if mode := query(t, dir, "PRAGMA journal_mode"); mode != "wal" {
				t.Errorf("journal mode %s", mode)
			}
		})
	}
}

func indent(code string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(code, "\n"), "\n", "\n    ") + "\n"
}

// query executes a statement on app.db and returns the first column of its first
// row.
func query(t *testing.T, dir, statement string) string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "app.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var value string
	if err := db.QueryRowContext(t.Context(), statement).Scan(&value); err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}
