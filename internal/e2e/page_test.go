package e2e

// The page of the stream, with real processes and a real browser.
//
//	go test ./internal/e2e -run TestPage -picture ../web/stream.png    the picture of README.md

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/natsd/natsdtest"
	"turnstile/internal/stream"
	"turnstile/internal/web/webtest"
)

// A pageProcess is a process that the page is about.
type pageProcess struct {
	*exec.Cmd
	log string // file
}

func startProcess(t *testing.T, dir, name, program string, args ...string) *pageProcess {
	t.Helper()
	return startProcessFed(t, nil, dir, name, program, args...)
}

func startProcessFed(t *testing.T, stdin io.Reader, dir, name, program string, args ...string) *pageProcess {
	t.Helper()
	p := &pageProcess{exec.Command(binary(t, program), args...), filepath.Join(dir, name+".log")}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.Dir, p.Stdin, p.Stdout, p.Stderr = dir, stdin, log, log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", name, lastLines(p.said(t), 30))
		}
	})
	return p
}

func (p *pageProcess) kill() {
	if p.ProcessState == nil {
		_ = p.Process.Kill() // it may have ended
		_ = p.Wait()         // it was killed
	}
}

func (p *pageProcess) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// logged waits until a process has logged a line that matches, and returns the
// submatch.
func (p *pageProcess) logged(t *testing.T, expression string) string {
	t.Helper()
	re := regexp.MustCompile(expression)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if m := re.FindStringSubmatch(p.said(t)); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("%s does not log %s", p, expression)
	return ""
}

// endlessFile reads lines until enough is set, or the lines end.
type endlessFile struct {
	lines  *bufio.Reader
	enough atomic.Bool
}

func (f *endlessFile) Read(p []byte) (int, error) {
	if f.enough.Load() {
		return 0, io.EOF
	}
	line, err := f.lines.ReadBytes('\n')
	if len(line) > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, line), err
}

func eval(p *webtest.Page, id string) int64 {
	text := webtest.Eval[string](p, fmt.Sprintf("document.getElementById(%q).innerText", id))
	n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

var picture = flag.String("picture", "", "write the `FILE` with the picture of the page that README.md shows")

// writePicture writes a screenshot as a small PNG file.
func writePicture(t *testing.T, screenshot []byte) {
	t.Helper()
	shown, err := png.Decode(bytes.NewReader(screenshot))
	if err != nil {
		t.Fatal(err)
	}
	var small bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&small, withPalette(shown)); err != nil {
		t.Fatal(err)
	}
	if small.Len() > 200_000 {
		t.Errorf("the picture has %d bytes, want 200,000 at most", small.Len())
	}
	if err := os.WriteFile(*picture, small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// withPalette returns a picture with the 256 most frequent colours of another.
func withPalette(from image.Image) *image.Paletted {
	const step = 8 // colours that differ by less count as one
	seen := map[color.RGBA]int{}
	for y := from.Bounds().Min.Y; y < from.Bounds().Max.Y; y++ {
		for x := from.Bounds().Min.X; x < from.Bounds().Max.X; x++ {
			c := color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)
			seen[color.RGBA{c.R / step, c.G / step, c.B / step, 255}]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(seen), func(a, b color.RGBA) int { return seen[b] - seen[a] })
	var palette color.Palette
	for _, c := range colours[:min(256, len(colours))] {
		palette = append(palette, color.RGBA{c.R*step + step/2, c.G*step + step/2, c.B*step + step/2, 255})
	}
	to := image.NewPaletted(from.Bounds(), palette)
	draw.Draw(to, to.Bounds(), from, from.Bounds().Min, draw.Src)
	return to
}

// Rows flow, the writer is killed, a standby takes over: the page tells all of it, and
// in the end both counts are those of the file and of the database.
func TestPageThroughAKill(t *testing.T) {
	const rows = 100_000 // more than the slowest machine needs
	broker := natsdtest.Start(t, func(ctx context.Context, nc *nats.Conn) error { return stream.Ensure(ctx, nc, 1<<30, 1) })
	t.Setenv("NATS_URL", broker.URL())
	dir := t.TempDir()
	if out, err := exec.Command(binary(t, "generate"), "--rows", fmt.Sprint(rows), "--flaws", "0.01", "--output", filepath.Join(dir, "rides.csv")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The page is the first to start: it needs neither writer nor database.
	server := startProcess(t, dir, "page", "consumer", "page", "--http", "127.0.0.1:0")
	page := webtest.Open(t, server.logged(t, `open=(http\S+)`))
	page.Wait(`writer.innerText.includes("no writer")`)

	first := startProcess(t, dir, "first", "consumer")
	first.logged(t, "storing")
	second := startProcess(t, dir, "second", "consumer")
	second.logged(t, "standing by")
	page.Wait(fmt.Sprintf(`writer.innerText.includes("/%d") && writer.innerText.includes("standby") && writer.innerText.includes("/%d")`, first.Process.Pid, second.Process.Pid))
	file, err := os.Open(filepath.Join(dir, "rides.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rides := &endlessFile{lines: bufio.NewReader(file)}
	defer rides.enough.Store(true)
	sender := startProcessFed(t, rides, dir, "producer", "producer", "--rate", "300/s", "--source", "rides.csv", "-")

	page.Wait(`document.querySelectorAll("#latest button").length > 3 && map.dataset.circles > 20 && map.dataset.rings > 0`)
	if *picture != "" {
		page.Size(980, 790)
		page.Wait(`Number(rides.innerText.replace(",", "")) > 500 && map.dataset.rings > 40`)
		screenshot := page.Screenshot()
		defer writePicture(t, screenshot)
	}
	before := eval(page, "rides")
	page.Wait(fmt.Sprintf(`Number(rides.innerText.replace(",", "")) > %d`, before))
	if marks := webtest.Eval[string](page, "marks.innerText"); strings.Contains(marks, "took over") {
		t.Errorf("nobody was killed, and the page says %q", marks)
	}

	if runtime.GOOS == "windows" {
		first.kill()
	} else {
		// The standby is stopped for a moment, so that the gap can be seen.
		if err := second.Process.Signal(sigstop); err != nil {
			t.Fatal(err)
		}
		first.kill()
		page.Wait(`!nowriter.hidden && nowriter.innerText.includes("No writer for") && writer.className == "bad" && Number(inflight.innerText.replace(",", "")) > 20`)
		if err := second.Process.Signal(sigcont); err != nil {
			t.Fatal(err)
		}
	}
	page.Wait(fmt.Sprintf(`marks.innerText.includes("/%d took over") && nowriter.hidden`, second.Process.Pid))
	rides.enough.Store(true)
	if err := sender.Wait(); err != nil {
		t.Error(err)
	}
	sent := sender.logged(t, `([\d,]+) rows in`)
	page.Wait(fmt.Sprintf(`acked.innerText == %q && verdict.innerText.includes("agree")`, sent))
	n := countRows(t, filepath.Join(dir, "var", "turnstile.db"), "rides.csv")
	if stored, rejected := eval(page, "rides"), eval(page, "rejected"); stored+rejected != int64(n) || n == 0 || rejected == 0 {
		t.Errorf("the page has %d rows and %d rejects, the database %d of both, want %s", stored, rejected, n, sent)
	}
	// The map has what the writer had no time to announce before it was killed.
	page.Click("#stations summary")
	page.Wait(fmt.Sprintf(`[...document.querySelectorAll("#stations tbody tr")].reduce((n, tr) => n + Number(tr.children[2].innerText), 0) == %d`, eval(page, "rides")))
	if left := server.said(t); strings.Contains(left, "level=WARN") || strings.Contains(left, "level=ERROR") {
		t.Errorf("the page complains:\n%s", left)
	}
}
