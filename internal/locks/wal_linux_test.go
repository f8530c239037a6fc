package locks

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

func readers(w *WALState) string {
	var words []string
	for _, r := range w.Readers {
		words = append(words, fmt.Sprintf("%d pins %d", r.PID, r.Pinned))
	}
	return strings.Join(words, ", ")
}

// writeFrames commits single-page transactions.
func writeFrames(t *testing.T, path string, transactions int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range transactions {
		if _, err := db.ExecContext(context.Background(), "update t set x = x + 1"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReaderPinsWAL(t *testing.T) {
	path := database(t, "wal")
	// Another connection keeps the WAL when the writer closes.
	startHolder(t, path, "", "select * from t")
	w := watcher(t, path)
	old := startHolder(t, path, "", "update t set x = x + 1", "begin", "select * from t")
	began := time.Now()
	writer := startHolder(t, path, "", repeat("update t set x = x + 1", 20)...)
	young := startHolder(t, path, "", "begin", "select * from t")
	same := startHolder(t, path, "", "begin", "select * from t")
	v := look(t, w)
	want := []string{fmt.Sprintf("%d pins 20", old.Process.Pid)}
	for _, pid := range sorted(young.Process.Pid, same.Process.Pid) {
		want = append(want, fmt.Sprintf("%d pins 0", pid)) // two readers on one slot
	}
	if v.WAL == nil || readers(v.WAL) != strings.Join(want, ", ") || v.WAL.Pinned() != 20 {
		t.Fatalf("got %+v, want %s", v.WAL, want)
	}
	if v.WAL.PageSize != 4096 || v.WAL.Bytes(20) != 20*(4096+24) || v.WAL.Size < v.WAL.Bytes(v.WAL.Frames) {
		t.Errorf("sizes: %+v", v.WAL)
	}
	r := v.WAL.Readers[0]
	if r.Since.After(time.Now()) || r.Since.Before(began.Add(-time.Second)) || r.Command == "" {
		t.Errorf("reader %+v, which began about %s", r, began)
	}
	// What it pins is what a checkpoint cannot copy.
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var busy, frames, copied uint32
	if err := db.QueryRow("pragma wal_checkpoint(passive)").Scan(&busy, &frames, &copied); err != nil {
		t.Fatal(err)
	}
	if frames-copied != 20 {
		t.Errorf("a checkpoint left %d of %d frames, want 20", frames-copied, frames)
	}
	old.kill(t)
	writer.kill(t)
	if v := look(t, w); v.WAL == nil || v.WAL.Pinned() != 0 {
		t.Errorf("after kill -9 of the reader: %+v", v.WAL)
	}
}

// TestReaderOfDatabaseFile: a reader that needs nothing of the WAL forbids every
// checkpoint.
func TestReaderOfDatabaseFile(t *testing.T) {
	path := database(t, "wal")
	keeper := startHolder(t, path, "", "update t set x = x + 1", "pragma wal_checkpoint(truncate)")
	reader := startHolder(t, path, "", "begin", "select * from t")
	writeFrames(t, path, 7)
	v := look(t, watcher(t, path))
	if want := fmt.Sprintf("%d pins 7", reader.Process.Pid); v.WAL == nil || readers(v.WAL) != want {
		t.Errorf("got %+v, want %s", v.WAL, want)
	}
	keeper.kill(t)
}

func TestHiddenReaderPinsWAL(t *testing.T) {
	path := database(t, "wal")
	startHolder(t, path, "", "begin", "select * from t")
	writeFrames(t, path, 3)
	if out := inPIDNamespace(t, path); !strings.Contains(out, "; WAL 0 pins 3") {
		t.Errorf("got %q, want a hidden reader that pins 3 frames", out)
	}
}

func TestParseSHM(t *testing.T) {
	b := make([]byte, shmHeaderSize)
	b[12] = 1
	binary.NativeEndian.PutUint16(b[14:], 1)
	binary.NativeEndian.PutUint32(b[16:], 616)
	copy(b[48:96], b[:48])
	binary.NativeEndian.PutUint32(b[96:], 16)
	for i, mark := range []uint32{0, 16, 613, unusedMark, unusedMark} {
		binary.NativeEndian.PutUint32(b[100+4*i:], mark)
	}
	h, ok := parseSHM(b)
	if !ok || h.pageSize != 65536 || h.frames != 616 || h.copied != 16 {
		t.Fatalf("got %+v, %v", h, ok)
	}
	for slot, want := range []uint32{16, 16, 613, 616, 616} {
		if got := h.lastCopyable(slot); got != want {
			t.Errorf("slot %d: frame %d, want %d", slot, got, want)
		}
	}
	b[16]++ // a writer is between the two copies
	if _, ok := parseSHM(b); ok {
		t.Error("a header that is being written")
	}
	if _, ok := parseSHM(b[:100]); ok {
		t.Error("a file that is too short")
	}
}

func FuzzParseSHM(f *testing.F) {
	f.Add(make([]byte, shmHeaderSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseSHM(b)
		if !ok {
			return
		}
		for slot := range h.marks {
			if h.lastCopyable(slot) > h.frames {
				t.Errorf("slot %d of %+v", slot, h)
			}
		}
	})
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func sorted(a, b int) []int { return []int{min(a, b), max(a, b)} }
