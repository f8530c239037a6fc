package e2e

import (
	"errors"
	"os"
	"path/filepath"
)

// A disk is what can go wrong with a disk; see internal/powercut.
type disk interface {
	Cut()
	PowerOff()
	Unmount() error
	PowerOn() error
	Unsynced() int
	SetRoom(bytes int64)
}

// A machine has the files of the broker, or those of the consumer.
type machine struct {
	folder string // what survives a power cut
	path   string // where processes find the files
	disk   disk   // nil while the power is off, and where it can't be cut: there folder is path
	off    disk   // disk, while the power is off
}

func newMachine(r *round, name string) *machine {
	m := &machine{folder: filepath.Join(r.dir, name+".disk")}
	m.path = m.folder
	err := os.Mkdir(m.folder, 0o700)
	if powerCutAvailable() == nil {
		m.path = filepath.Join(r.dir, name)
		err = errors.Join(err, os.Mkdir(m.path, 0o700))
		if err == nil {
			m.disk, err = newDisk(m.folder, m.path, r.rng.Uint64())
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { // after the processes, which are registered later, were killed
		if err := m.unmount(); err != nil {
			r.t.Error(err)
		}
	})
	return m
}

// unmount ends the use of the disk. The processes must have ended.
func (m *machine) unmount() error {
	if m.disk == nil {
		return nil
	}
	m.disk, m.off = nil, m.disk
	return m.off.Unmount()
}

func (m *machine) powerOn() error {
	m.disk, m.off = m.off, nil
	return m.disk.PowerOn()
}

// cutPower cuts the power of machines with all their processes at one moment, and
// leaves them off. It returns how many bytes were not synced at that moment.
func cutPower(machines []*machine, services []*service) (unsynced int, err error) {
	for _, m := range machines {
		m.disk.Cut()
	}
	for _, s := range services {
		s.kill()
	}
	for _, m := range machines {
		m.disk.PowerOff()
	}
	for _, s := range services {
		s.stop(os.Kill)
	}
	for _, m := range machines {
		unsynced += m.disk.Unsynced()
		err = errors.Join(err, m.unmount())
	}
	return unsynced, err
}
