//go:build !linux

package e2e

import "errors"

var errNoPowerCut = errors.New("power is cut on Linux only")

func powerCutAvailable() error { return errNoPowerCut }

func newDisk(string, string, uint64) (disk, error) { return nil, errNoPowerCut }
