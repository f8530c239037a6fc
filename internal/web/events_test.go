package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeViewer is a connection whose other end takes what it is sent, unless it
// is stuck: then it takes nothing before its deadline.
type fakeViewer struct {
	header http.Header
	gate   chan struct{} // nil: never stuck; else a write waits for it to be closed

	mu       sync.Mutex // guards all below
	text     strings.Builder
	deadline time.Time
}

func newFakeViewer() *fakeViewer { return &fakeViewer{header: http.Header{}} }

func (v *fakeViewer) Header() http.Header { return v.header }
func (v *fakeViewer) WriteHeader(int)     {}
func (v *fakeViewer) FlushError() error   { return nil }

func (v *fakeViewer) SetWriteDeadline(at time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.deadline = at
	return nil
}

func (v *fakeViewer) Write(p []byte) (int, error) {
	v.mu.Lock()
	wait := time.Until(v.deadline)
	v.mu.Unlock()
	if v.gate != nil {
		select {
		case <-v.gate:
		case <-time.After(wait):
			return 0, os.ErrDeadlineExceeded
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.Write(p)
}

// took returns the messages so far, as "id data".
func (v *fakeViewer) took() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []string
	for block := range strings.SplitSeq(v.text.String(), "\n\n") {
		id, data, ok := strings.Cut(strings.TrimPrefix(block, "id: "), "\ndata: ")
		if ok {
			_, number, _ := strings.Cut(id, "-")
			all = append(all, number+" "+data)
		}
	}
	return all
}

// view lets a viewer read until the test ends. It returns a channel that is
// closed when its stream ends.
func view(t *testing.T, h *Hub, v *fakeViewer, lastID string) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil)
	r.Header.Set("Last-Event-ID", lastID)
	done := make(chan struct{})
	go func() { defer close(done); h.ServeHTTP(v, r) }()
	t.Cleanup(func() { cancel(); <-done })
	return done
}

func publish(t *testing.T, h *Hub, group string, n ...int) {
	t.Helper()
	for _, n := range n {
		if err := h.Publish(group, n); err != nil {
			t.Fatal(err)
		}
	}
}

func replace(t *testing.T, h *Hub, group string, n int) {
	t.Helper()
	if err := h.Replace(group, n); err != nil {
		t.Fatal(err)
	}
}

func wantTook(t *testing.T, v *fakeViewer, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := v.took(); !slices.Equal(got, want) {
		t.Errorf("a viewer took %q, want %q", got, want)
	}
}

const reset = `0 {"type":"reset"}`

func TestLateViewerGetsWhatWasBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		publish(t, h, "a", 1, 2)
		publish(t, h, "b", 3)
		replace(t, h, "a", 4)
		v := newFakeViewer()
		view(t, h, v, "")
		wantTook(t, v, reset, "3 3", "4 4")
		publish(t, h, "a", 5)
		wantTook(t, v, reset, "3 3", "4 4", "5 5")
	})
}

func TestViewerReadsOnAtItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		publish(t, h, "a", 1, 2, 3)
		again, foreign, ahead, nonsense := newFakeViewer(), newFakeViewer(), newFakeViewer(), newFakeViewer()
		view(t, h, again, h.epoch+"-2")
		view(t, h, foreign, "ABCDEFGH-2") // of a process that ran before this one
		view(t, h, ahead, h.epoch+"-9")
		view(t, h, nonsense, h.epoch+"-x")
		wantTook(t, again, "3 3")
		for _, v := range []*fakeViewer{foreign, ahead, nonsense} {
			wantTook(t, v, reset, "1 1", "2 2", "3 3")
		}
		h.Reset()
		publish(t, h, "a", 4)
		wantTook(t, again, "3 3", reset, "1 4")
	})
}

// Whoever publishes is never held up, and a viewer that was stuck goes on with
// the newest state.
func TestSlowViewerIsDroppedToTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		slow, fast := newFakeViewer(), newFakeViewer()
		slow.gate = make(chan struct{})
		view(t, h, slow, "")
		view(t, h, fast, "")
		synctest.Wait() // slow is stuck in its first write
		start := time.Now()
		want := []string{reset}
		for n := 1; n <= 100; n++ {
			replace(t, h, "state", n)
			want = append(want, fmt.Sprint(n, " ", n))
			wantTook(t, fast, want...)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("publishing took %s", took)
		}
		close(slow.gate)
		wantTook(t, slow, reset, "100 100")
	})
}

func TestDeadViewerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := newFakeViewer()
		dead.gate = make(chan struct{})
		start := time.Now()
		<-view(t, NewHub(), dead, "")
		if took := time.Since(start); took != writeLimit {
			t.Errorf("dropped after %s, want %s", took, writeLimit)
		}
	})
}

func TestQuietStreamPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newFakeViewer()
		view(t, NewHub(), v, "")
		time.Sleep(3*pingInterval + time.Second)
		synctest.Wait()
		v.mu.Lock()
		defer v.mu.Unlock()
		if n := strings.Count(v.text.String(), ": ping\n\n"); n != 3 {
			t.Errorf("%d pings, want 3: %q", n, &v.text)
		}
		if !strings.HasPrefix(v.text.String(), "retry: 1000\n\n") {
			t.Errorf("it begins with %.20q", &v.text)
		}
	})
}

// A large message may take longer than one deadline, as long as some of it is
// taken in each.
func TestLargeMessageHasManyDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		if err := h.Publish("a", strings.Repeat("x", 5*writeChunk)); err != nil {
			t.Fatal(err)
		}
		v := &slowViewer{fakeViewer: newFakeViewer()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(v, httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil))
		}()
		time.Sleep(20 * writeLimit)
		cancel()
		<-done
		if got := v.took(); len(got) != 2 {
			t.Errorf("took %d messages, want reset and the large one", len(got))
		}
	})
}

// slowViewer takes a chunk just before its deadline, and more than that after it.
type slowViewer struct{ *fakeViewer }

func (v *slowViewer) Write(p []byte) (int, error) {
	time.Sleep((writeLimit - time.Second) * time.Duration(len(p)) / writeChunk)
	if !time.Now().Before(v.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return v.fakeViewer.Write(p)
}

func TestFullHubSaysSo(t *testing.T) {
	h := NewHub()
	h.limit = 10
	publish(t, h, "a", 1111, 2222)
	if err := h.Publish("a", 333); !errors.Is(err, ErrFull) {
		t.Errorf("the third message: %v, want ErrFull", err)
	}
	if err := h.Replace("a", 4444444444); err != nil {
		t.Errorf("a message that stands for all: %v", err)
	}
	if err := h.Replace("a", 55555555555); !errors.Is(err, ErrFull) {
		t.Errorf("a message over the limit: %v, want ErrFull", err)
	}
	if len(h.log) != 1 || string(h.log[0].data) != "4444444444" || h.size != 10 {
		t.Errorf("it keeps %v, %d bytes", h.log, h.size)
	}
}

func TestMessageIsOneLine(t *testing.T) {
	h := NewHub()
	if err := h.Publish("a", "a\nb\r\u2028</script>"); err != nil {
		t.Fatal(err)
	}
	if got := string(h.log[0].data); strings.ContainsAny(got, "\r\n<>\u2028") {
		t.Errorf("%q", got)
	}
	if err := h.Publish("a", func() {}); err == nil {
		t.Error("what is not JSON was published")
	}
}
