//go:build unix

package mta

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterruptedInput: reading an idle input ends when the context ends, at
// every point where it can block.
func TestInterruptedInput(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (path string, stdin io.Reader){
		"a pipe without a header": func(t *testing.T) (string, io.Reader) { return "-", pipe(t, "") },
		"a pipe without a row":    func(t *testing.T) (string, io.Reader) { return "-", pipe(t, shortHeader+"\n") },
		"a pipe inside a row":     func(t *testing.T) (string, io.Reader) { return "-", pipe(t, shortHeader+"\n1/1/22 0:00,1") },
		"a pipe in a long line": func(t *testing.T) (string, io.Reader) {
			return "-", pipe(t, shortHeader+"\n"+strings.Repeat("x", 2*MaxRecord))
		},
		"gzip magic":              func(t *testing.T) (string, io.Reader) { return "-", pipe(t, "\x1f\x8b") },
		"no file at all":          func(t *testing.T) (string, io.Reader) { r, _ := io.Pipe(); return "-", r },
		"a FIFO without a writer": func(t *testing.T) (string, io.Reader) { return fifo(t), nil },
		"an idle FIFO": func(t *testing.T) (string, io.Reader) {
			path := fifo(t)
			w, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { w.Close() })
			io.WriteString(w, shortHeader+"\n")
			return path, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, stdin := open(t)
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			read := make(chan error, 1)
			go func() {
				f, err := OpenFile(ctx, path, stdin, FileOptions{Source: "s"})
				if err != nil {
					read <- err
					return
				}
				_, err = f.Next(1<<20, 0)
				read <- errors.Join(err, f.Close())
			}()
			select {
			case err := <-read:
				t.Fatalf("ended by itself: %v", err)
			case <-time.After(50 * time.Millisecond): // nothing shows that the reader is blocked
			}
			cancel(cause)
			select {
			case err := <-read:
				if !errors.Is(err, cause) {
					t.Errorf("got %v, want %v", err, cause)
				}
			case <-time.After(time.Minute):
				t.Error("still reading")
			}
		})
	}
}

// TestStreams tells apart what can be read once and what can be read again.
func TestStreams(t *testing.T) {
	regular := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"-": true, fifo(t): true, regular: false, t.TempDir(): false, "/nonexistent": false, os.DevNull: true} {
		if got := IsStream(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestStreamIsWhole reads through the goroutine of an interruptible reader, in
// blocks of every size.
func TestStreamIsWhole(t *testing.T) {
	rows := strings.Repeat("1/1/22 0:00,1,1\n", 50_000)
	r, w := io.Pipe()
	go func() {
		text := shortHeader + "\n" + rows
		for n := 1; len(text) > 0; n = n*3 + 1 {
			n = min(n, len(text))
			io.WriteString(w, text[:n])
			text = text[n:]
		}
		w.Close()
	}()
	f, err := OpenFile(t.Context(), "-", r, FileOptions{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got strings.Builder
	for {
		c, err := f.Next(10_000, 0)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(c.Data)
	}
	if got.String() != rows || f.Offset() != int64(len(rows)+len(shortHeader)+1) {
		t.Errorf("read %d bytes of %d, offset %d", got.Len(), len(rows), f.Offset())
	}
}

func pipe(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); r.Close() })
	go io.WriteString(w, text)
	return r
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
