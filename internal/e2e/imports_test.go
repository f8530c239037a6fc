package e2e

// Imports run one way, and this is where it is written down.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says what of this project each package may import. A package that
// is not here has no place yet: give it one, here and in ARCHITECTURE.md.
var mayImport = map[string][]string{
	"internal/natsd":  {"internal/disk"},
	"internal/mta":    nil,
	"internal/locks":  nil,
	"internal/about":  nil,
	"internal/disk":   nil,
	"internal/screen": nil,
	"internal/child":  nil,

	// ingest is the guarantee. It meets the queue and the database only through
	// small interfaces of its own, so that its tests can fail each step.
	"internal/stream": {"internal/mta"},
	"internal/store":  {"internal/mta", "internal/locks"}, // what is a network file system
	"internal/ingest": {"internal/mta"},

	// cli has the flags of the broker's address and of input files, and so the
	// hints of their errors.
	"internal/cli": {"internal/stream", "internal/mta", "internal/screen"},

	// report is pure: what was measured, and functions of it. It runs nothing.
	"internal/lab/report": {"internal/screen"},

	"internal/lab":   append([]string{"internal/lab/report"}, below...),
	"internal/scene": append([]string{"internal/lab/report", "internal/screen"}, below...),                           // colours and result codes
	"internal/web":   {"internal/lab/report", "internal/scene", "internal/locks", "internal/stream", "internal/mta"}, // the summaries of the stream

	// For tests.
	"internal/natsd/natsdtest": {"internal/natsd"},
	"internal/web/webtest":     nil,
	"internal/powercut":        nil,

	// These run the built commands.
	"internal/bench": {"internal/cli", "internal/lab/report"},
	"internal/e2e":   nil,

	"broker":        all,
	"producer":      all,
	"consumer":      all,
	"contention":    all,
	"data/generate": {"internal/cli"},
}

var (
	// below is what lab and scene may import. It has no internal/cli: a package
	// below the commands knows no flag, no command name and no hint.
	below = []string{
		"internal/natsd", "internal/mta", "internal/locks", "internal/about", "internal/disk", "internal/child",
		"internal/stream", "internal/store", "internal/ingest",
	}
	all = append([]string{"internal/cli", "internal/lab", "internal/lab/report", "internal/scene", "internal/screen", "internal/web"}, below...)
)

// breach says what is wrong with an import, "" if nothing is.
func breach(from, to string) string {
	allowed, placed := mayImport[from]
	switch {
	case !placed:
		return from + " has no place in mayImport"
	case from == to || slices.Contains(allowed, to):
		return ""
	}
	return from + " imports " + to
}

func TestImportsRunOneWay(t *testing.T) {
	const module = "turnstile/"
	root := filepath.Join("..", "..")
	packages := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && file != root && (name == "testdata" || name == "var" || name[0] == '.') {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		inside, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		from := path.Dir(filepath.ToSlash(inside))
		packages[from] = true
		if why := breach(from, from); why != "" {
			t.Errorf("%s: %s", inside, why)
		}
		// Whatever the build tags: a breach on Windows is one.
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if to, ours := strings.CutPrefix(name, module); ours {
				if why := breach(from, to); why != "" {
					t.Errorf("%s: %s", inside, why)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 5 {
		t.Errorf("looked at %d packages only: %v", len(packages), packages)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(mod), "module "+strings.TrimSuffix(module, "/")+"\n") {
		t.Error("go.mod names another module than this test looks for")
	}
}

// A package below the commands knows no flag and gives no hint: it returns typed
// errors, and the command that calls it has the hints.
func TestNoFlagsBelowTheCommands(t *testing.T) {
	flag := regexp.MustCompile("(^|[ `(\"])--[a-z]")
	for from := range mayImport {
		name := strings.TrimPrefix(from, "internal/")
		// about runs git, whose flags these are.
		if name == from || name == "cli" || name == "e2e" || name == "about" || strings.HasPrefix(name, "bench") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, from, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if n.Kind == token.STRING && flag.MatchString(n.Value) {
						t.Errorf("%s: %s names a flag", fset.Position(n.Pos()), n.Value)
					}
				case *ast.FuncDecl:
					if n.Name.Name == "Hint" {
						t.Errorf("%s: a hint", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func TestBreach(t *testing.T) {
	for _, c := range []struct {
		from, to string
		fine     bool
	}{
		{"internal/store", "internal/mta", true},
		{"internal/store", "internal/stream", false},
		{"internal/ingest", "internal/store", false},
		{"internal/mta", "internal/cli", false},
		{"internal/lab", "consumer", false},
		{"internal/lab", "internal/lab/report", true},
		{"internal/lab/report", "internal/lab", false},
		{"internal/lab", "internal/cli", false},
		{"consumer", "broker", false},
		{"consumer", "internal/ingest", true},
		{"internal/new", "internal/mta", false},
	} {
		if got := breach(c.from, c.to); (got == "") != c.fine {
			t.Errorf("%s imports %s: %q, want fine %v", c.from, c.to, got, c.fine)
		}
	}
}
