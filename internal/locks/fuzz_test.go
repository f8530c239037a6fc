package locks

import "testing"

// FuzzParseTable reads tables of locks. Kernels to come may add lines of any kind.
func FuzzParseTable(f *testing.F) {
	f.Add([]byte("1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 1073741825 1073741825\n"))
	f.Add([]byte("2: OFDLCK ADVISORY  READ -1 fd:00:2531452 1073741826 1073742335\n2: -> POSIX  ADVISORY  WRITE 3601 fd:00:2531452 0 EOF\n"))
	f.Add([]byte("3: FLOCK  ADVISORY  WRITE 99 00:1a:1 0 EOF"))
	f.Fuzz(func(t *testing.T, table []byte) {
		var main, shm []entry
		parseTable(table, func(e entry) {
			if e.write {
				main = append(main, e)
			}
			shm = append(shm, e)
		})
		for _, l := range decode(main, shm) {
			if l.Name == "" {
				t.Errorf("a lock without a name: %+v", l)
			}
		}
	})
}
