package store

// Which file systems are another machine's.

import (
	"fmt"
	"syscall"
)

// networks are the file systems on which SQLite's WAL does not work: its index
// is shared memory, and no memory is shared between machines.
var networks = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
}

// network names the network file system a folder is on; "" if it is local.
func network(folder string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return "", fmt.Errorf("store: file system of %s: %w", folder, err)
	}
	return networks[uint32(stat.Type)], nil
}
