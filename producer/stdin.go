package main

// Interruptible standard input.

import (
	"context"
	"io"
	"os"
)

// stdin returns r, readable until ctx ends. It keeps the Stat method of a file:
// rows from a pipe must not wait for a full buffer.
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

// interruptible reads until ctx ends. A read that blocks on a pipe or terminal
// can't be cancelled, so its goroutine is abandoned.
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
		// Not into p: the caller may reuse p after ctx has ended.
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
