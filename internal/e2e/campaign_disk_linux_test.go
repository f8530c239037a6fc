package e2e

import (
	"math/rand/v2"
	"time"

	"turnstile/internal/powercut"
)

// powerCutAvailable says why no power can be cut here, or returns nil.
func powerCutAvailable() error { return powercut.Available() }

// newDisk mounts a disk whose power can be cut.
func newDisk(folder, mount string, seed uint64) (disk, error) {
	return powercut.New(folder, mount, 2*time.Millisecond, rand.New(rand.NewPCG(seed, 0)))
}
