package locks

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
