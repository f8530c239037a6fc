//go:build linux

package powercut

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A node is a file or folder of a Disk. What it does not define goes to the
// folder below as it is.
type node struct {
	fs.LoopbackNode
	disk *Disk
}

// WrapChild makes every node of the file system one of a Disk.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: fs.LoopbackNode{RootData: child.(*fs.LoopbackNode).RootData}, disk: n.disk}
}

func (n *node) inode() uint64 { return n.StableAttr().Ino }

// openFlags are those of the file below: it can be read, to know what a write
// replaces, and is never synced.
func openFlags(flags uint32) uint32 {
	return flags&^(syscall.O_ACCMODE|syscall.O_TRUNC|syscall.O_SYNC|syscall.O_DSYNC) | syscall.O_RDWR
}

// Open opens a file. The kernel keeps what it has cached of it.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	low, _, errno := n.LoopbackNode.Open(ctx, openFlags(flags))
	if errno != 0 {
		return nil, 0, errno
	}
	h := newHandle(n, low.(*fs.LoopbackFile), flags)
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.disk.write(n.inode(), h.fd, 0, nil); errno != 0 {
			return nil, 0, errno
		}
	}
	return h, fuse.FOPEN_KEEP_CACHE, 0
}

// Create creates a file; the entry is durable at once.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (inode *fs.Inode, h fs.FileHandle, _ uint32, errno syscall.Errno) {
	errno = n.disk.change(func() (errno syscall.Errno) {
		var low fs.FileHandle
		inode, low, _, errno = n.LoopbackNode.Create(ctx, name, openFlags(flags), mode, out)
		if errno == 0 {
			h = newHandle(inode.Operations().(*node), low.(*fs.LoopbackFile), flags)
		}
		return errno
	})
	return inode, h, fuse.FOPEN_KEEP_CACHE, errno
}

// Setattr records a truncation.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		h, ok := f.(*handle)
		if !ok {
			low, _, errno := n.LoopbackNode.Open(ctx, syscall.O_RDWR)
			if errno != 0 {
				return errno
			}
			h = newHandle(n, low.(*fs.LoopbackFile), 0)
			defer h.Release(ctx)
		}
		if errno := n.disk.write(n.inode(), h.fd, int64(size), nil); errno != 0 {
			return errno
		}
	}
	return n.disk.change(func() syscall.Errno { return n.LoopbackNode.Setattr(ctx, f, in, out) })
}

// Unlink, Rmdir, Mkdir and Rename are durable at once.

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.disk.change(func() syscall.Errno {
		size := n.size(ctx, name)
		errno := n.LoopbackNode.Unlink(ctx, name)
		if errno == 0 {
			n.disk.room += size
		}
		return errno
	})
}

// size is that of a file of a folder, 0 if there is none.
func (n *node) size(ctx context.Context, name string) int64 {
	var out fuse.EntryOut
	if _, errno := n.LoopbackNode.Lookup(ctx, name, &out); errno != 0 {
		return 0
	}
	return int64(out.Size)
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.disk.change(func() syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) })
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	errno = n.disk.change(func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return errno
	})
	return inode, errno
}

func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, toName string, flags uint32) syscall.Errno {
	return n.disk.change(func() syscall.Errno {
		replaced := to.(*node).size(ctx, toName)
		errno := n.LoopbackNode.Rename(ctx, name, to, toName, flags)
		if errno == 0 {
			n.disk.room += replaced
		}
		return errno
	})
}

// Statfs reports the room that is left.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	errno := n.LoopbackNode.Statfs(ctx, out)
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.limited && out.Frsize > 0 {
		out.Bavail = min(out.Bavail, uint64(max(0, n.disk.room))/uint64(out.Frsize))
		out.Bfree = out.Bavail
	}
	return errno
}

// A handle is an open file.
type handle struct {
	*fs.LoopbackFile
	node *node
	fd   int
	sync bool // each write is durable; newer kernels also send an fsync after it
}

func newHandle(n *node, low *fs.LoopbackFile, flags uint32) *handle {
	fd, _ := low.PassthroughFd()
	return &handle{low, n, fd, flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

// PassthroughFd refuses: the kernel would write past the Disk.
func (h *handle) PassthroughFd() (int, bool) { return 0, false }

func (h *handle) Write(_ context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	errno := h.node.disk.write(h.node.inode(), h.fd, offset, data)
	if errno == 0 && h.sync {
		errno = h.node.disk.sync(h.node.inode())
	}
	if errno != 0 {
		return 0, errno
	}
	return uint32(len(data)), 0
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	return h.node.disk.sync(h.node.inode())
}

// Allocate is refused, and programs write zeros instead.
func (h *handle) Allocate(context.Context, uint64, uint64, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

var (
	_ fs.NodeWrapChilder = (*node)(nil)
	_ fs.NodeOpener      = (*node)(nil)
	_ fs.NodeCreater     = (*node)(nil)
	_ fs.NodeSetattrer   = (*node)(nil)
	_ fs.NodeStatfser    = (*node)(nil)
	_ fs.FileWriter      = (*handle)(nil)
	_ fs.FileFsyncer     = (*handle)(nil)
	_ fs.FileAllocater   = (*handle)(nil)
)
