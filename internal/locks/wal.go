package locks

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// WALState is what the -shm file tells about a WAL. That file is the index of
// the WAL, shared by all connections.
//
// A checkpoint copies frames from the WAL into the database, oldest first. It
// must stop before the first frame that a reader may not see yet: that reader
// pins all frames from there on. While they are pinned, the WAL cannot start
// again from its beginning, so each write makes it longer.
type WALState struct {
	Size     int64  // of the -wal file in bytes; it keeps its size when the WAL starts again
	PageSize int    // in bytes
	Frames   uint32 // committed frames
	Copied   uint32 // frames that are in the database file already
	Readers  []Reader
}

// Reader is a process that reads a snapshot of the database.
type Reader struct {
	PID     int
	Command string
	Frame   uint32    // last frame that a checkpoint may copy while it reads
	Pinned  uint32    // committed frames after that one
	Since   time.Time // it is known to have read since then
}

// frameHeader is the size of a frame in the WAL without its page.
const frameHeader = 24

// Bytes returns the size of so many frames.
func (w *WALState) Bytes(frames uint32) int64 { return int64(frames) * int64(w.PageSize+frameHeader) }

// Pinned returns how many frames no checkpoint can copy, because of the reader
// with the oldest snapshot.
func (w *WALState) Pinned() uint32 {
	pinned := uint32(0)
	for _, r := range w.Readers {
		pinned = max(pinned, r.Pinned)
	}
	return pinned
}

// shmHeaderSize is the size of the header of the -shm file without its padding:
// sqlite.org/walformat.html, "The WAL-Index Header".
const shmHeaderSize = 136

// shmHeader is what is of interest in that header.
type shmHeader struct {
	pageSize int
	frames   uint32    // mxFrame
	copied   uint32    // nBackfill
	marks    [5]uint32 // aReadMark
}

// unusedMark is the read mark of a slot that no reader uses.
const unusedMark = 0xffffffff

// parseSHM reads the header. It fails while a writer is changing it: the header
// has two copies, and they must agree.
func parseSHM(b []byte) (h shmHeader, ok bool) {
	if len(b) < shmHeaderSize || string(b[:48]) != string(b[48:96]) || b[12] == 0 {
		return h, false
	}
	u32 := binary.NativeEndian.Uint32
	h.pageSize = int(binary.NativeEndian.Uint16(b[14:]))
	if h.pageSize == 1 {
		h.pageSize = 65536
	}
	h.frames, h.copied = u32(b[16:]), u32(b[96:])
	for i := range h.marks {
		h.marks[i] = u32(b[100+4*i:])
	}
	return h, h.copied <= h.frames
}

// lastCopyable returns the last frame that a checkpoint may copy while a process
// reads by this slot. A reader of slot 0 reads the database file alone and
// forbids to change it.
func (h shmHeader) lastCopyable(slot int) uint32 {
	if slot == 0 {
		return h.copied
	}
	if h.marks[slot] == unusedMark {
		return h.frames
	}
	return min(h.marks[slot], h.frames)
}

// readers returns the holders of the read slots, those that pin the most first.
// A slot may have several readers, and a process several slots: then the oldest
// snapshot counts.
func (h shmHeader) readers(shm []entry) []Reader {
	var all []Reader
	for _, e := range shm {
		for slot := range h.marks {
			at := uint64(walReadFirst + slot)
			if e.write || !e.overlaps(at, at) {
				continue // a write lock on a slot is a checkpoint that moves its mark
			}
			frame := h.lastCopyable(slot)
			r := Reader{PID: e.pid, Frame: frame, Pinned: h.frames - frame}
			i := slices.IndexFunc(all, func(o Reader) bool { return o.PID == r.PID })
			switch {
			case i < 0:
				all = append(all, r)
			case r.Pinned > all[i].Pinned:
				all[i] = r
			}
		}
	}
	slices.SortFunc(all, func(a, b Reader) int {
		return cmp.Or(cmp.Compare(b.Pinned, a.Pinned), cmp.Compare(a.PID, b.PID))
	})
	return all
}
