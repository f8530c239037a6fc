package report

// A result or a recording may come from another program, or from a file that
// somebody has changed. Whatever Read accepts can be shown in every form.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"turnstile/internal/screen"
)

func FuzzRead(f *testing.F) {
	for _, name := range []string{"recording.json", "report.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"version":1,"lanes":[{"name":"a","ready":[0],"asked":[-5],"ended":[9223372036854775807]}]}`))
	f.Add([]byte(`{"version":1,"trials":[{}]}`))
	f.Fuzz(readAndShow)
}

// TestChangedResult: what a person or another program may have changed in a document that
// contention wrote. Changed bytes alone, as FuzzRead tries them, are seldom JSON.
func TestChangedResult(t *testing.T) {
	for _, name := range []string{"recording.json", "report.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(300) {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				var document any
				if err := json.Unmarshal(text, &document); err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(seed, 0))
				c := mutation{r, 0.001 * float64(1+r.IntN(10))}
				changed, err := json.Marshal(c.in(document))
				if err != nil {
					t.Fatal(err)
				}
				readAndShow(t, changed)
			})
		}
	}
}

// mutation changes the values of a document, each with a probability.
type mutation struct {
	*rand.Rand
	probability float64
}

func (c mutation) happens() bool { return c.Float64() < c.probability }

func (c mutation) in(value any) any {
	if c.happens() {
		return c.another(value)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if v[key] = c.in(v[key]); c.happens() {
				delete(v, key)
			}
		}
	case []any:
		for i := range v {
			v[i] = c.in(v[i])
		}
		if len(v) > 0 && c.happens() {
			return v[:c.IntN(len(v))]
		}
		if len(v) > 0 && c.happens() {
			return append(v, v[c.IntN(len(v))])
		}
	}
	return value
}

// another returns a value that may be of another type.
func (c mutation) another(value any) any {
	others := []any{nil, 0, -1, c.IntN(20), 1e18, 1e300, true, "", "queued", []any{}, map[string]any{}}
	if f, ok := value.(float64); ok {
		others = append(others, -f, f/1e7, f*float64(c.IntN(1000)), f*1e9)
	}
	return others[c.IntN(len(others))]
}

// readAndShow shows what Read accepts in every form.
func readAndShow(t *testing.T, text []byte) {
	report, recording, err := Read(bytes.NewReader(text))
	if err != nil {
		return
	}
	if recording != nil {
		show(t, "text", func() error { return recording.Text(io.Discard, screen.Paint{}, nil) })
		show(t, "trace", func() error { return WriteTrace(io.Discard, []*Recording{recording}) })
		return
	}
	show(t, "text", func() error { return report.Text(io.Discard, screen.Paint{Colour: true}) })
	show(t, "Markdown", func() error { return report.Markdown(io.Discard) })
	show(t, "CSV", func() error { return report.CSV(io.Discard) })
	show(t, "trace", func() error { return WriteTrace(io.Discard, report.Recordings()) })
	var first, second bytes.Buffer
	show(t, "JSON", func() error { return report.JSON(&first) })
	again, _, err := Read(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatalf("what was written can't be read: %v", err)
	}
	show(t, "JSON", func() error { return again.JSON(&second) })
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("written, read and written again:\n%s\n%s", first.Bytes(), second.Bytes())
	}
}

func show(t *testing.T, form string, write func() error) {
	t.Helper()
	if err := write(); err != nil {
		t.Errorf("%s: %v", form, err)
	}
}
