//go:build !linux && !darwin && !windows

package about

// A machine that is not asked.

func kernel() string { return "" }

func cpuModel() string { return "" }

func memory() uint64 { return 0 }

func fileSystemType(string) string { return "" }
