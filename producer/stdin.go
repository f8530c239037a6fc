package main

// Standard input that does not outlast Ctrl-C.

import (
	"context"
	"io"
	"os"
)

// stdin is env.Stdin until a context ends. Of a file it still tells what kind
// it is: what comes down a pipe must not wait for a full buffer.
func stdin(ctx context.Context, r io.Reader) io.Reader {
	i := interruptible{ctx, r}
	if f, ok := r.(*os.File); ok {
		return interruptibleFile{i, f}
	}
	return i
}

type interruptibleFile struct {
	interruptible
	file *os.File
}

func (f interruptibleFile) Stat() (os.FileInfo, error) { return f.file.Stat() }

// interruptible reads until a context ends. A read that waits for a pipe or a
// terminal knows no other end than input; it is then left behind.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		// Not into p: after the end it is no longer ours.
		b := make([]byte, len(p))
		n, err := i.r.Read(b)
		read <- result{b[:n], err}
	}()
	select {
	case r := <-read:
		return copy(p, r.data), r.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}
