//go:build linux

package powercut

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newDisk mounts a disk that is unmounted at the end of the test.
func newDisk(t *testing.T, seed uint64) (d *Disk, folder, mount string) {
	t.Helper()
	if err := Available(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no power can be cut here: %v", err)
		}
		t.Skipf("NOT TESTED: no power can be cut here: %v", err)
	}
	folder, mount = t.TempDir(), t.TempDir()
	d, err := New(folder, mount, time.Millisecond, rand.New(rand.NewPCG(seed, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return d, folder, mount
}

// cutPower cuts the power, and gives it back.
func cutPower(t *testing.T, d *Disk) {
	t.Helper()
	d.Cut()
	d.PowerOff()
	if err := errors.Join(d.Unmount(), d.PowerOn()); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	check(t, err)
	return string(text)
}

// What was synced survives; of the rest, in many cuts, sometimes nothing,
// sometimes a part, sometimes all.
func TestCut(t *testing.T) {
	const synced, late = "synced, and then changed", "CHANGED"
	var none, part, all int
	d, _, mount := newDisk(t, 1)
	for range 60 {
		name := filepath.Join(mount, "file")
		f, err := os.Create(name)
		check(t, err)
		_, err = f.WriteString(synced)
		check(t, err)
		check(t, f.Sync())
		_, err = f.WriteAt([]byte(late), 0)
		check(t, err)
		tail := bytes.Repeat([]byte{'x'}, 4*sector)
		_, err = f.WriteAt(tail, int64(len(synced)))
		check(t, err)
		if got := d.Unsynced(); got != len(late)+len(tail) {
			t.Fatalf("%d bytes are not synced, want %d", got, len(late)+len(tail))
		}
		check(t, f.Close())
		if got := read(t, name); got != late+synced[len(late):]+string(tail) {
			t.Fatalf("before the cut: %q", got)
		}
		cutPower(t, d)
		got := read(t, name)
		switch rest := got[min(len(got), len(synced)):]; {
		case !strings.HasSuffix(got[:min(len(got), len(synced))], synced[len(late):]):
			t.Fatalf("synced bytes are missing: %q", got)
		case got == synced:
			none++
		case got == late+synced[len(late):]+string(tail):
			all++
		case strings.Trim(rest, "x\x00") == "":
			part++
		default:
			t.Fatalf("bytes that nobody wrote: %q", got)
		}
	}
	if none == 0 || part == 0 || all == 0 {
		t.Errorf("nothing survived %d times, a part %d times, all %d times; want each", none, part, all)
	}
}

func TestTruncation(t *testing.T) {
	var kept, lost int
	d, _, mount := newDisk(t, 2)
	for range 40 {
		name := filepath.Join(mount, "file")
		f, err := os.Create(name)
		check(t, err)
		_, err = f.WriteString("0123456789")
		check(t, errors.Join(err, f.Sync(), f.Truncate(4), f.Close()))
		cutPower(t, d)
		switch got := read(t, name); got {
		case "0123456789":
			lost++
		case "0123":
			kept++
		default:
			t.Fatalf("%q", got)
		}
	}
	if kept == 0 || lost == 0 {
		t.Errorf("truncated %d times, as before %d times; want both", kept, lost)
	}
}

func TestOSync(t *testing.T) {
	for _, flag := range []int{syscall.O_SYNC, syscall.O_DSYNC} {
		d, _, mount := newDisk(t, 3)
		name := filepath.Join(mount, "file")
		f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_WRONLY|flag, 0o600)
		check(t, err)
		_, err = f.WriteString("durable")
		check(t, errors.Join(err, f.Close(), os.Rename(name+".new", name)))
		cutPower(t, d)
		if got := read(t, name); got != "durable" {
			t.Errorf("flag %#x: %q", flag, got)
		}
	}
}

// A rename is durable, the data that nobody synced is not.
func TestRenameBeforeSync(t *testing.T) {
	d, _, mount := newDisk(t, 4)
	name := filepath.Join(mount, "file")
	empty := 0
	for range 20 {
		check(t, os.WriteFile(name+".new", []byte("data"), 0o600))
		check(t, os.Rename(name+".new", name))
		cutPower(t, d)
		if read(t, name) == "" {
			empty++
		}
	}
	if empty == 0 {
		t.Error("the data survived each time")
	}
}

// A process that writes at the cut neither changes the disk nor hears of
// success.
func TestWritesAfterCut(t *testing.T) {
	d, folder, mount := newDisk(t, 5)
	f, err := os.Create(filepath.Join(mount, "file"))
	check(t, err)
	d.Cut()
	written := make(chan error, 1)
	go func() {
		_, err := f.WriteString("too late")
		written <- err
	}()
	if got := read(t, filepath.Join(folder, "file")); got != "" {
		t.Errorf("written after the cut: %q", got)
	}
	select {
	case err := <-written:
		t.Errorf("the write has ended before PowerOff: %v", err)
		written <- err
	case <-time.After(50 * time.Millisecond):
	}
	d.PowerOff()
	if err := <-written; !errors.Is(err, syscall.EIO) {
		t.Errorf("a write after the cut: %v, want EIO", err)
	}
	check(t, f.Close())
	check(t, errors.Join(d.Unmount(), d.PowerOn()))
	if got := read(t, filepath.Join(mount, "file")); got != "" {
		t.Errorf("written after the cut: %q", got)
	}
}

func TestFull(t *testing.T) {
	d, _, mount := newDisk(t, 6)
	name, other := filepath.Join(mount, "file"), filepath.Join(mount, "other")
	check(t, os.WriteFile(name, []byte("0123"), 0o600))
	check(t, os.WriteFile(other, make([]byte, 100), 0o600))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	write := func(offset int64, bytes int) error {
		_, err := f.WriteAt(make([]byte, bytes), offset)
		return err
	}
	d.SetRoom(6)
	if err := write(0, 10); err != nil {
		t.Errorf("6 bytes longer, with room for 6: %v", err)
	}
	if err := write(0, 10); err != nil {
		t.Errorf("overwrite on a full disk: %v", err)
	}
	if err := write(10, 1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("longer on a full disk: %v, want ENOSPC", err)
	}
	var free syscall.Statfs_t
	if err := syscall.Statfs(mount, &free); err != nil || free.Bavail != 0 {
		t.Errorf("%d blocks are free on a full disk: %v", free.Bavail, err)
	}
	check(t, os.Truncate(other, 90))
	if err := write(10, 10); err != nil {
		t.Errorf("after a file was cut by 10 bytes: %v", err)
	}
	check(t, os.Remove(other))
	if err := write(20, 90); err != nil {
		t.Errorf("after a file of 90 bytes was removed: %v", err)
	}
	if err := write(110, 1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("after all room was used again: %v, want ENOSPC", err)
	}
	d.SetRoom(-1)
	if err := write(110, 1000); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	check(t, f.Close())
}

// SQLite's WAL, with its index in mapped memory, works on the disk. What it
// commits with synchronous=FULL survives, and with OFF it does not always.
func TestSQLite(t *testing.T) {
	sqlite, err := exec.LookPath("sqlite3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("NOT TESTED: no sqlite3")
	}
	run := func(db string, input ...string) string {
		t.Helper()
		cmd := exec.Command(sqlite, db)
		cmd.Stdin = strings.NewReader(strings.Join(input, "\n"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	// Not closed in order, or the checkpoint at the end would sync the database.
	killed := func(db string, input ...string) {
		t.Helper()
		cmd := exec.Command(sqlite, "-batch", db)
		in, err := cmd.StdinPipe()
		check(t, err)
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		_, err = in.Write([]byte(strings.Join(append(input, "SELECT 'done';\n"), "\n")))
		check(t, err)
		answer := make([]byte, 0, 100)
		for !bytes.Contains(answer, []byte("done")) {
			b := make([]byte, 100)
			n, err := out.Read(b)
			check(t, err)
			answer = append(answer, b[:n]...)
		}
		check(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Fatal("sqlite3 was not killed")
		}
	}
	const write = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500) INSERT INTO t SELECT i, randomblob(100) FROM n;"
	lost := 0
	for i := range 10 {
		d, _, mount := newDisk(t, uint64(i))
		db := filepath.Join(mount, "test.db")
		run(db, "PRAGMA journal_mode=WAL;", "CREATE TABLE t(i, b);")
		killed(db, "PRAGMA synchronous=FULL;", write)
		killed(db, "PRAGMA synchronous=OFF;", write)
		cutPower(t, d)
		if got := run(db, "PRAGMA integrity_check;"); got != "ok" {
			t.Errorf("integrity_check: %s", got)
		}
		switch got := run(db, "SELECT count(*) FROM t;"); got {
		case "1000":
		case "500":
			lost++
		default:
			t.Errorf("%s rows, want the 500 that were committed with FULL, and the others or not", got)
		}
	}
	if lost == 0 {
		t.Error("the commits with OFF survived each time")
	}
}
