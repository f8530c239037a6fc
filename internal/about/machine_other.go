//go:build !linux && !darwin && !windows

package about

// Machine facts on other systems: unknown.

func kernel() string { return "" }

func cpuModel() string { return "" }

func memory() uint64 { return 0 }

func fileSystemType(string) string { return "" }
