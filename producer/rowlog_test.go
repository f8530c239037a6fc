package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

func receipt(line int64, data string) stream.Receipt {
	return stream.Receipt{Took: 1234 * time.Microsecond, Chunk: mta.Chunk{Line: line, Data: []byte(data), Records: 1}}
}

// TestRowLogFitsTheTerminal shows a row as it is, cut at the width.
func TestRowLogFitsTheTerminal(t *testing.T) {
	l := &rowLog{width: func() int { return 80 }}
	row := `02/01/2022 05:00:00 AM,subway,445,"Times Sq, 42 St",Manhattan,omny,OMNY - Full Fare,5,0` + "\x1b[31m\r\n"
	got := l.line("queued", receipt(12, row))
	if want := `queued line 12 in 1.2ms  02/01/2022 05:00:00 AM,subway,445,"Ti…`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l.width = func() int { return 200 }
	if got := l.line("queued", receipt(12, row)); strings.ContainsAny(got, "\x1b\r\n") || !strings.HasSuffix(got, "5,0·[31m") {
		t.Errorf("got %q", got)
	}
}

// TestRowLogOneLineASecond has eleven rows a second for three seconds.
func TestRowLogOneLineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		l := &rowLog{log: slog.New(slog.NewTextHandler(&text, nil))}
		for line := range int64(30) {
			time.Sleep(90 * time.Millisecond)
			l.add(receipt(line+2, "a,b\n"))
		}
		l.flush()
		time.Sleep(2 * time.Second) // no timer may be left
		l.flush()
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], `msg=queued line=2 took=1.234ms row=a,b`) ||
			!strings.Contains(lines[1], "rows=11 messages=11 to_line=13") || !strings.Contains(lines[3], "to_line=31") {
			t.Errorf("got %s", text.String())
		}
	})
}
