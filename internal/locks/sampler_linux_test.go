package locks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func sampler(t *testing.T, path string) *Sampler {
	t.Helper()
	s, err := NewSampler(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func watcher(t *testing.T, path string) *Watcher {
	t.Helper()
	w, err := NewWatcher(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func sample(t *testing.T, s *Sampler) []Lock {
	t.Helper()
	all, err := s.Sample(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func look(t *testing.T, w *Watcher) View {
	t.Helper()
	v, err := w.Look(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestHolders(t *testing.T) {
	for _, c := range []struct {
		mode       string
		statements []string
		want       string
	}{
		{"delete", []string{"begin", "select * from t"}, "shared"},
		{"delete", []string{"begin immediate"}, "reserved"},
		{"delete", []string{"begin", "insert into t values(2)"}, "reserved"},
		{"delete", []string{"begin exclusive"}, "exclusive"},
		{"delete", []string{"select * from t"}, ""},
		{"wal", []string{"select * from t"}, ""}, // an idle connection
		{"wal", []string{"begin", "select * from t"}, "wal-read"},
		{"wal", []string{"begin immediate"}, "wal-write"},
		{"wal", []string{"pragma locking_mode=exclusive", "begin immediate"}, "exclusive"},
	} {
		t.Run(c.mode+" "+strings.Join(c.statements, "; "), func(t *testing.T) {
			path := database(t, c.mode)
			h := startHolder(t, path, "", c.statements...)
			want := ""
			if c.want != "" {
				want = fmt.Sprint(h.Process.Pid, " ", c.want)
			}
			s, w := sampler(t, path), watcher(t, path)
			if got := show(sample(t, s)); got != want {
				t.Errorf("sampler: got %q, want %q", got, want)
			}
			v := look(t, w)
			if got := show(v.Locks); got != want || !v.Visible || v.Notes != nil {
				t.Errorf("watcher: got %q, visible %v, notes %q, want %q", got, v.Visible, v.Notes, want)
			}
			if got := map[string]string{"delete": Rollback, "wal": WAL}[c.mode]; v.Mode != got {
				t.Errorf("mode %s, want %s", v.Mode, got)
			}
			open, _ := w.Open(v.Locks)
			if idle := c.want == ""; idle != (len(open) == 1 && open[0].PID == h.Process.Pid) || len(open) > 1 {
				t.Errorf("open %v, holder %d, holds nothing: %v", open, h.Process.Pid, idle)
			}
			h.kill(t)
			if got := show(sample(t, s)); got != "" {
				t.Errorf("after kill -9: %q", got)
			}
			if v := look(t, w); len(v.Locks) > 0 {
				t.Errorf("watcher after kill -9: %+v", v)
			}
			if open, _ := w.Open(nil); len(open) > 0 {
				t.Errorf("open after kill -9: %v", open)
			}
		})
	}
}

// The lab samples in a process that may have connections: these must not lose
// their locks by it. (os.Open and Close in place of O_PATH fails this test.)
func TestSamplerLeavesOwnLocksAlone(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		path := database(t, mode)
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(t.Context(), "begin immediate"); err != nil {
			t.Fatal(err)
		}
		first := sampler(t, path)
		want := show(sample(t, first))
		if !strings.HasPrefix(want, fmt.Sprint(os.Getpid(), " ")) {
			t.Fatalf("%s: %q, want a lock of process %d", mode, want, os.Getpid())
		}
		openers(first.path, first.main.state, first.shm.state)
		second, err := NewSampler(path)
		if err != nil {
			t.Fatal(err)
		}
		sample(t, second)
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		if got := show(sample(t, first)); got != want {
			t.Errorf("%s: looking changed the locks from %q to %q", mode, want, got)
		}
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSinceIsOfTheWholeHold(t *testing.T) {
	path := database(t, "wal")
	startHolder(t, path, "", "begin immediate")
	s := sampler(t, path)
	for i := range 3 {
		all, err := s.Sample(at(10 * i))
		if err != nil || len(all) != 1 || !all[0].Since.Equal(at(0)) {
			t.Fatalf("sample %d: %+v, %v", i, all, err)
		}
	}
}

func TestChanged(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		path := database(t, mode)
		s := sampler(t, path)
		sample(t, s)
		sample(t, s)
		if s.Changed() {
			t.Errorf("%s: nothing has been written", mode)
		}
		startHolder(t, path, "", "insert into t values(3)")
		sample(t, s)
		if !s.Changed() {
			t.Errorf("%s: a row was written", mode)
		}
	}
}

func TestFollow(t *testing.T) {
	path := database(t, "delete")
	ctx, stop := context.WithCancel(t.Context())
	history, done := NewHistory(), make(chan error, 1)
	s := sampler(t, path)
	go func() { done <- history.Follow(ctx, s, time.Millisecond) }()
	before := time.Now()
	h := startHolder(t, path, "", "begin immediate")
	deadline := time.Now().Add(time.Minute)
	for {
		if w, ok := history.Writer(before, time.Now()); ok {
			if w.PID != h.Process.Pid || w.Command == "" {
				t.Errorf("got %+v, want process %d", w, h.Process.Pid)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the writer was never seen")
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStoppedWaiter(t *testing.T) {
	path := database(t, "wal")
	startHolder(t, path, "", "begin immediate")
	waiter := startHolder(t, path, "", "select * from t")
	if err := waiter.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w := watcher(t, path)
	deadline := time.Now().Add(time.Minute)
	for {
		open, _ := w.Open(look(t, w).Locks)
		if len(open) == 1 && open[0].PID == waiter.Process.Pid && open[0].State == Stopped {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("open: %v, want %d, stopped", open, waiter.Process.Pid)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestLargeTableComesInPieces: then a lock that is out of sight is looked for once more.
func TestLargeTableComesInPieces(t *testing.T) {
	path := database(t, "delete")
	f, err := os.Create(filepath.Join(t.TempDir(), "locked"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const many = 100 // each a line of 40 characters or more, of the 4096 of a piece
	for i := range int64(many) {
		l := unix.Flock_t{Type: unix.F_WRLCK, Start: 2 * i, Len: 1} // not adjacent, or the kernel would join them
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &l); err != nil {
			t.Fatal(err)
		}
	}
	pieces, err := sampler(t, path).readTable()
	if err != nil || pieces < 2 {
		t.Errorf("%d pieces, %v, want several", pieces, err)
	}
}

// BenchmarkSample samples with 50 locks in the table, of which one process
// holds those on the database: what the lab does every few milliseconds.
func BenchmarkSample(b *testing.B) {
	path := filepath.Join(b.TempDir(), "app.db")
	for _, end := range []string{"", "-wal", "-shm"} {
		f, err := os.Create(path + end)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for i := range int64(25) {
			// Not adjacent, or the kernel would join them.
			l := unix.Flock_t{Type: unix.F_WRLCK, Start: 0x40000001 + 2*i - 1000*int64(len(end)), Len: 1}
			if end != "-wal" {
				if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &l); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	s, err := NewSampler(path)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sample(time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
