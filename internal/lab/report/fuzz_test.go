package report

// A result or a recording may come from another program, or from a file that
// somebody has changed. Whatever Read accepts can be shown in every form.

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
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
	f.Fuzz(func(t *testing.T, text []byte) {
		report, recording, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		if recording != nil {
			show(t, "text", func() error { return recording.Text(io.Discard, Paint{}, nil) })
			show(t, "trace", func() error { return WriteTrace(io.Discard, []*Recording{recording}) })
			return
		}
		show(t, "text", func() error { return report.Text(io.Discard, Paint{Colour: true}) })
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
	})
}

func show(t *testing.T, form string, write func() error) {
	t.Helper()
	if err := write(); err != nil {
		t.Errorf("%s: %v", form, err)
	}
}
