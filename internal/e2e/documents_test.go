package e2e

// README.md, ARCHITECTURE.md and data/README.md name files, functions and
// commands. These tests fail when one of them is gone.

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var documents = []string{"README.md", "ARCHITECTURE.md", "SECURITY.md", "OPERATIONS.md", "data/README.md"}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentsNameFilesThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^):]+)\)`)
	path := regexp.MustCompile("`((?:internal|data|broker|producer|consumer|contention|\\.ci)/[A-Za-z0-9_./-]*)`")
	for _, name := range documents {
		text := readDocument(t, name)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s: %v", name, m[1], err)
			}
		}
	}
}

func TestArchitectureNamesCodeThatExists(t *testing.T) {
	code := sourceText(t)
	names := regexp.MustCompile("`(?:mta|stream|ingest|store|natsd|lab|report|locks|p)\\.([A-Za-z.]+)(?:\\([^`]*\\))?`")
	found := 0
	for _, name := range documents {
		for _, m := range names.FindAllStringSubmatch(readDocument(t, name), -1) {
			for part := range strings.SplitSeq(m[1], ".") {
				found++
				if !regexp.MustCompile(`\b` + part + `\b`).MatchString(code) {
					t.Errorf("%s names %s, which is not in the code", name, m[0])
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d names", found)
	}
}

// sourceText is all Go code of the project but its tests.
func sourceText(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, pattern := range []string{"*/*.go", "internal/*/*.go", "internal/*/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			part, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(part)
		}
	}
	return text.String()
}

// Each command of a document knows the flags that it is shown with. The test adds
// --help: the command then prints its help, unless an earlier flag is unknown.
func TestDocumentedCommandsHaveTheirFlags(t *testing.T) {
	checkout := regexp.MustCompile(`(?m)go run \./(broker|producer|consumer|contention|data/generate)\b([^#|>\n` + "`" + `]*)`)
	released := regexp.MustCompile(`(?m)^(?:[A-Z_]+=\S+ )*(broker|producer|consumer|contention)\b([^#|>\n]*)`) // in a block of commands
	for _, name := range documents {
		text := strings.ReplaceAll(readDocument(t, name), "\\\n", " ")
		found := checkout.FindAllStringSubmatch(text, -1)
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
			found = append(found, released.FindAllStringSubmatch(block[1], -1)...)
		}
		for _, m := range found {
			args := strings.Fields(strings.TrimRight(m[2], " .,;:)"))
			cmd := exec.Command(binary(t, filepath.Base(m[1])), append(args, "--help")...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s --help: %v\n%s", name, strings.TrimSpace(m[0]), err, out)
			}
		}
	}
}

// A session of README is a block that begins with "$ COMMAND": the command,
// run in a folder with the project's data, prints what the block shows. A line
// "..." stands for any lines, and times are not compared.
func TestReadmeShowsWhatCommandsPrint(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(filepath.Join(root, "data"))); err != nil {
		t.Fatal(err)
	}
	sessions := regexp.MustCompile("(?s)```\n\\$ ([^\n]+)\n(.*?)```").FindAllStringSubmatch(readDocument(t, "README.md"), -1)
	if len(sessions) < 3 {
		t.Errorf("found only %d sessions", len(sessions))
	}
	for _, s := range sessions {
		words, shown := shellWords(s[1]), s[2] // go run ./COMMAND ...
		cmd := exec.Command(binary(t, filepath.Base(words[2])), words[3:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", s[1], err, out)
		}
		want := regexp.QuoteMeta(withoutTimes(shown))
		want = strings.ReplaceAll(want, `\.\.\.`+"\n", `(?:.*\n)*`)
		if !regexp.MustCompile("^" + want + "$").MatchString(withoutTimes(string(out))) {
			t.Errorf("README shows after %s\n%s\nit prints\n%s", s[1], shown, out)
		}
	}
}

// README quotes a program and commands of the nats CLI that a script runs.
func TestReadmeQuotesWhatScriptsRun(t *testing.T) {
	readme := readDocument(t, "README.md")
	program := strings.ReplaceAll(readDocument(t, "internal/e2e/testdata/ownprogram/main.go"), "\n\t\t", "\n")
	script := readDocument(t, "internal/e2e/testdata/ownprogram.txtar")
	blocks := regexp.MustCompile("(?s)```go\n(row := .*?)```").FindAllStringSubmatch(readme, -1)
	commands := regexp.MustCompile(`(?m)^nats .*$`).FindAllString(readme, -1)
	if len(blocks) != 1 || len(commands) == 0 {
		t.Fatalf("found %d programs and %d commands", len(blocks), len(commands))
	}
	if !strings.Contains(program, blocks[0][1]) {
		t.Errorf("the program does not have\n%s", blocks[0][1])
	}
	for _, c := range commands {
		if !strings.Contains(script, "exec "+c+"\n") {
			t.Errorf("the script does not run %s", c)
		}
	}
}

// ARCHITECTURE names each subject and header of the wire format.
func TestArchitectureNamesTheWireFormat(t *testing.T) {
	_, section, _ := strings.Cut(readDocument(t, "ARCHITECTURE.md"), "## The wire format\n")
	section, _, _ = strings.Cut(section, "\n## ")
	names := regexp.MustCompile(`= +"([A-Za-z_]+[.-][A-Za-z.-]+|_INBOX\.)"`).FindAllStringSubmatch(readDocument(t, "internal/stream/wire.go"), -1)
	if len(names) < 10 {
		t.Errorf("found only %d names", len(names))
	}
	for _, m := range names {
		if !strings.Contains(section, "`"+m[1]) {
			t.Errorf("the wire format does not name %s", m[1])
		}
	}
}

// shellWords splits a command line at spaces that are not in double quotes.
func shellWords(line string) (words []string) {
	for _, word := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
		words = append(words, strings.Trim(word, `"`))
	}
	return words
}

// withoutTimes replaces what another machine prints differently.
func withoutTimes(text string) string {
	return regexp.MustCompile(`in [0-9.]+ s \([0-9,]+ rows/s\)`).ReplaceAllString(text, "in TIME")
}

// What README shows of the lab differs in each run. Its words are those of the
// lab's golden files.
func TestReadmeShowsTheWordsOfTheLab(t *testing.T) {
	var golden strings.Builder
	for _, name := range []string{"internal/lab/report/testdata/report.txt", "contention/testdata/watch-locked.golden"} {
		golden.WriteString(readDocument(t, name))
	}
	words := strings.Join(strings.Fields(golden.String()), " ")
	for _, start := range []string{"  strategy    ", "    reserved:"} {
		_, line, found := strings.Cut(readDocument(t, "README.md"), "\n"+start)
		line, _, _ = strings.Cut(line, "\n")
		line = strings.Join(strings.Fields(start+line), " ")
		if !found || !strings.Contains(words, line) {
			t.Errorf("README shows %q, which the lab no longer prints", line)
		}
	}
}
