package main

// The machine that was measured, in contention's words.

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A machine is what the figures depend on; the JSON has all that contention
// about says.
type machine struct {
	all json.RawMessage

	OS         string `json:"os"`
	Kernel     string `json:"kernel"`
	Arch       string `json:"arch"`
	CPUs       int    `json:"cpus"`
	Processors int    `json:"gomaxprocs"`
	CPUModel   string `json:"cpu_model"`
	Memory     int64  `json:"memory_bytes"`
	Go         string `json:"go"`
	SQLite     string `json:"sqlite"`
	NATS       string `json:"nats_server"`
	FileSystem struct {
		Type    string   `json:"type"`
		Fsync   *float64 `json:"fsync_us"`
		Warning string   `json:"warning"`
	} `json:"file_system"`
}

func (m machine) MarshalJSON() ([]byte, error) {
	if m.all == nil {
		return []byte("null"), nil
	}
	return m.all, nil
}

func (b *bench) machine(ctx context.Context) (m machine, err error) {
	_, _, out, err := run(ctx, command{name: "contention about", path: b.path("contention"), args: []string{"about", "--dir", b.work, "--format", "json"}})
	if err != nil {
		return m, err
	}
	m.all = out
	return m, json.Unmarshal(out, &m)
}

func (m machine) String() string {
	fsync := "unknown"
	if m.FileSystem.Fsync != nil {
		fsync = fmt.Sprintf("%.0f µs", *m.FileSystem.Fsync)
	}
	return fmt.Sprintf("%s/%s %s, %d CPUs (%s), %.0f GiB, %s, SQLite %s, nats-server %s, %s with an fsync of %s",
		m.OS, m.Arch, m.Kernel, m.CPUs, m.CPUModel, float64(m.Memory)/(1<<30), m.Go, m.SQLite, m.NATS, m.FileSystem.Type, fsync)
}

// loadAverage is how many programs wanted a processor in the last minute, null
// where the system does not say. On a busy machine seconds say little, ratios
// and CPU seconds more.
func loadAverage() *float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return nil
	}
	return &load
}
