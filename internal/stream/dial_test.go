package stream

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// A connection that takes nothing is closed by the write that finds out,
// and both sides have its end.
func TestTakesNothing(t *testing.T) {
	a, b := net.Pipe() // nobody reads from b
	defer b.Close()
	c := taken{a}
	late := time.Now().Add(5 * time.Second)
	if err := errors.Join(c.SetWriteDeadline(time.Now().Add(time.Millisecond)), b.SetReadDeadline(late)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("PING\r\n")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v, want that of the deadline", err)
	}
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other side has %v, want the end", err)
	}
	if _, err := c.Write(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("written again: %v, want a closed connection", err)
	}
}
