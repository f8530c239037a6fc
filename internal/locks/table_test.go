package locks

import (
	"fmt"
	"strings"
	"testing"
)

// Recorded from SQLite 3.40 and 3.54; main is inode 100, its -shm 200.
const bystanders = `1: FLOCK  ADVISORY  WRITE 1366 fe:00:100 0 EOF
2: POSIX  ADVISORY  WRITE 1366 fe:00:101 1073741825 1073741825
3: POSIX  ADVISORY  WRITE 1366 fe:01:100 1073741825 1073741825
3: -> POSIX  ADVISORY  WRITE 1367 fe:00:100 1073741825 1073741825
4: LEASE  ACTIVE    READ 1368 fe:00:100 0 EOF
5: ACCESS something new
6:
`

const idle7 = "POSIX  ADVISORY  READ 7 fe:00:100 1073741826 1073742335\nPOSIX  ADVISORY  READ 7 fe:00:200 128 128\n"

func TestDecode(t *testing.T) {
	for _, c := range []struct{ name, lines, want string }{
		{"nothing", "", ""},
		// Rollback mode.
		{"BEGIN; SELECT", "POSIX  ADVISORY  READ 7 fe:00:100 1073741826 1073742335", "7 shared"},
		{"BEGIN IMMEDIATE", "POSIX  ADVISORY  WRITE 7 fe:00:100 1073741825 1073741825\nPOSIX  ADVISORY  READ 7 fe:00:100 1073741826 1073742335", "7 reserved"},
		{
			"COMMIT behind a reader", "POSIX  ADVISORY  WRITE 7 fe:00:100 1073741824 1073741825\nPOSIX  ADVISORY  READ 7 fe:00:100 1073741826 1073742335\n" +
				"POSIX  ADVISORY  READ 8 fe:00:100 1073741826 1073742335", "7 pending, 8 shared",
		},
		{"BEGIN EXCLUSIVE", "POSIX  ADVISORY  WRITE 7 fe:00:100 1073741824 1073742335", "7 exclusive"},
		{"rolling back a hot journal", "POSIX  ADVISORY  WRITE 7 fe:00:100 1073741826 1073742335", "7 exclusive"},
		{"whole file", "POSIX  ADVISORY  WRITE 7 fe:00:100 0 EOF", "7 exclusive"},
		{"a reader on its way in", "POSIX  ADVISORY  READ 7 fe:00:100 1073741824 1073741824", "7 shared"},
		{"another byte", "POSIX  ADVISORY  WRITE 7 fe:00:100 0 1073741823", ""},
		{
			"open file description", "OFDLCK ADVISORY  WRITE -1 fe:00:100 1073741825 1073741825\nOFDLCK ADVISORY  READ -1 fe:00:100 1073741826 1073742335",
			"-1 reserved, -1 shared",
		},
		// WAL mode.
		{"idle connection", idle7, ""},
		{"read", idle7 + "POSIX  ADVISORY  READ 7 fe:00:200 124 124", "7 wal-read"},
		{"write", idle7 + "POSIX  ADVISORY  WRITE 7 fe:00:200 120 120\nPOSIX  ADVISORY  READ 7 fe:00:200 124 124", "7 wal-write"},
		{"write, another reads", idle7 + "POSIX  ADVISORY  WRITE 7 fe:00:200 120 120\nPOSIX  ADVISORY  READ 8 fe:00:200 125 125", "7 wal-write, 8 wal-read"},
		{"checkpoint", idle7 + "POSIX  ADVISORY  WRITE 7 fe:00:200 121 121\nPOSIX  ADVISORY  WRITE 7 fe:00:200 123 123", "7 wal-checkpoint"},
		{"write and checkpoint", idle7 + "POSIX  ADVISORY  WRITE 7 fe:00:200 120 121", "7 wal-write, 7 wal-checkpoint"},
		{"recovery", idle7 + "POSIX  ADVISORY  WRITE 7 fe:00:200 120 123", "7 wal-write, 7 wal-recover"},
		{"wal, locking_mode EXCLUSIVE", "POSIX  ADVISORY  WRITE 7 fe:00:100 1073741824 1073742335", "7 exclusive"},
		{"wal, main by descriptor", "OFDLCK ADVISORY  READ -1 fe:00:100 1073741826 1073742335\nPOSIX  ADVISORY  READ 7 fe:00:200 128 128\nPOSIX  ADVISORY  WRITE 7 fe:00:200 120 120", "7 wal-write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := bystanders
			for i, line := range strings.Split(c.lines, "\n") {
				table += fmt.Sprintf("%d: %s\n", i+7, line)
			}
			var main, shm []entry
			parseTable([]byte(table), func(e entry) {
				switch e.fileID {
				case fileID{0xfe << 32, 100}:
					main = append(main, e)
				case fileID{0xfe << 32, 200}:
					shm = append(shm, e)
				}
			})
			if got := show(decode(main, shm)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func show(all []Lock) string {
	var words []string
	for _, l := range all {
		words = append(words, fmt.Sprint(l.PID, " ", l.Name))
	}
	return strings.Join(words, ", ")
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		text string
		base uint64
		want uint64
		ok   bool
	}{
		{"0", 10, 0, true},
		{"18446744073709551615", 10, 1<<64 - 1, true},
		{"18446744073709551616", 10, 0, false},
		{"fe", 16, 0xfe, true},
		{"fe", 10, 0, false},
		{"", 10, 0, false},
		{"1 ", 10, 0, false},
	} {
		if n, ok := parseUint([]byte(c.text), c.base); n != c.want || ok != c.ok {
			t.Errorf("%q: %d, %v, want %d, %v", c.text, n, ok, c.want, c.ok)
		}
	}
}
