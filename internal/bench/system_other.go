//go:build !unix

package main

import "os"

// peak is not known here.
func peak(*os.ProcessState) *int64 { return nil }

// settle can't be asked for here.
func settle() error { return nil }
