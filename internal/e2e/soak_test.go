package e2e

// The soak: a long run at a steady load, and a table of what the processes take
// over time. Nothing may grow that should not.
//
//	go test ./internal/e2e -run Soak -v -timeout 2h -soak-rows 4500000 -soak-rate 5000/s -soak-takeover 2m
//	go test ./internal/e2e -run Soak -v -timeout 2h -soak-rows 30000000 -soak-rate max
//	go test ./internal/e2e -run Soak -v -timeout 2h -soak-rows 2000000 -soak-sources 100000
//
// A line of the table has the time; for broker, writer and standby the resident
// memory in MiB and the open files; the sizes of -wal and of the queue on disk in
// MiB; the rows stored a second since the last line; and of 20 rows a second that
// the test itself sends, the time from publish to confirmation.

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	soakRows     = flag.Int("soak-rows", 0, "`ROWS` of the soak; 0: none is done")
	soakRate     = flag.String("soak-rate", "max", "--rate of its producer")
	soakTakeover = flag.Duration("soak-takeover", 0, "kill the writer every `TIME`, and let a standby take over")
	soakSources  = flag.Int("soak-sources", 1, "`N` data sets that the rows are of")
	soakEvery    = flag.Duration("soak-every", 15*time.Second, "`TIME` between two lines of the table")
)

func TestSoak(t *testing.T) {
	if *soakRows == 0 {
		t.Skip("not asked for: -soak-rows N")
	}
	if runtime.GOOS != "linux" {
		t.Fatal("the soak reads /proc")
	}
	s := newSoak(t)
	s.broker.start()
	s.consumers[0].start()
	go s.probe.run()
	s.probe.first(t)
	if *soakTakeover > 0 {
		s.consumers[1].start() // after the other one is the writer
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if *soakSources > 1 {
			s.sendSources()
			return
		}
		s.producer.start()
		<-s.producer.finished
	}()
	s.watch(sent)
	s.finish()
}

// A soak is the processes of one, and what was measured.
type soak struct {
	*round
	consumers [2]*service // the writer and its standby, in turns
	writer    int
	url       string
	path      string // of the database
	probe     *probe
	samples   []soakSample
}

type soakSample struct {
	memory, files [3]int // broker, writer, standby; MiB and number
	wal, queue    int    // MiB
	rows          int
	p99           time.Duration
}

func newSoak(t *testing.T) *soak {
	r := &round{t: t, dir: t.TempDir()}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{round: r, url: "nats://" + address, path: filepath.Join(r.dir, "soak.db")}
	s.file = filepath.Join(r.dir, "rides.csv")
	if *soakSources == 1 {
		generate := exec.Command(binary(t, "generate"), "--rows", strconv.Itoa(*soakRows), "--output", s.file)
		if out, err := generate.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", generate, err, out)
		}
	}
	s.broker = r.service("broker", "--listen", address, "--monitor", "", "--store", filepath.Join(r.dir, "queue"))
	for i := range s.consumers {
		s.consumers[i] = r.service("consumer", "--server", s.url, "--db", s.path)
	}
	s.producer = r.service("producer", "--server", s.url, "--rate", *soakRate, "--confirm", "stored", s.file)
	s.producer.once = true
	if s.probe, err = newProbe(s.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.probe.close)
	return s
}

// watch prints a line now and then, and kills the writer, until all is sent.
func (s *soak) watch(sent <-chan struct{}) {
	fmt.Println("   time  broker      writer      standby     -wal  queue     rows/s   p50 ms   p99 ms   max ms")
	start := time.Now()
	line := time.NewTicker(*soakEvery)
	defer line.Stop()
	var takeover <-chan time.Time
	if *soakTakeover > 0 {
		ticker := time.NewTicker(*soakTakeover)
		defer ticker.Stop()
		takeover = ticker.C
	}
	for {
		select {
		case <-line.C:
			s.print(time.Since(start))
		case <-takeover:
			s.consumers[s.writer].stop(os.Kill)
			s.consumers[s.writer].start()
			s.writer = 1 - s.writer
		case <-sent:
			s.print(time.Since(start))
			return
		}
	}
}

func (s *soak) print(at time.Duration) {
	var v soakSample
	for i, p := range []*service{s.broker, s.consumers[s.writer], s.consumers[1-s.writer]} {
		v.memory[i], v.files[i] = p.resources()
	}
	v.wal, v.queue = diskMiB(s.path+"-wal"), diskMiB(filepath.Join(s.dir, "queue"))
	v.rows = s.rows()
	rate := v.rows
	if n := len(s.samples); n > 0 {
		rate -= s.samples[n-1].rows
	}
	waits := s.probe.take()
	quantile := func(q float64) time.Duration {
		if len(waits) == 0 {
			return 0
		}
		return waits[min(len(waits)-1, int(q*float64(len(waits))))]
	}
	v.p99 = quantile(0.99)
	s.samples = append(s.samples, v)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("%7.0f  %3d MiB %3d %3d MiB %3d %3d MiB %3d %5d %6d %10.0f %8.1f %8.1f %8.1f\n", at.Seconds(),
		v.memory[0], v.files[0], v.memory[1], v.files[1], v.memory[2], v.files[2], v.wal, v.queue,
		float64(rate)/soakEvery.Seconds(), ms(quantile(0.5)), ms(v.p99), ms(quantile(1)))
}

// rows counts the rows in the database by its highest ids: a count would read all.
func (s *soak) rows() (n int) {
	db, err := sql.Open("sqlite", "file:"+s.path+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Error(err)
		return 0
	}
	defer db.Close()
	query := `SELECT ifnull(sum((SELECT max(id) & 0xffffffff FROM ride
		WHERE id BETWEEN source.id << 32 AND (source.id << 32) + 0xffffffff)), 0) FROM source`
	if err := db.QueryRow(query).Scan(&n); err != nil {
		return 0 // before the first row there may be no table
	}
	return n
}

// finish drains the queue, compares the files with the database, and judges what
// grew.
func (s *soak) finish() {
	s.probe.stop()
	for _, c := range s.consumers {
		c.stop(os.Interrupt)
	}
	s.command("consumer", "--server", s.url, "--db", s.path, "--until-drained")
	s.broker.stop(os.Interrupt)
	if *soakSources == 1 {
		s.command("consumer", "verify", "--db", s.path, s.file)
	} else {
		s.countSources()
	}
	s.judgeGrowth()
}

// judgeGrowth compares the last quarter of the run with the second one.
func (s *soak) judgeGrowth() {
	n := len(s.samples)
	if n < 8 {
		s.t.Logf("%d lines are too few to tell what grows", n)
		return
	}
	median := func(samples []soakSample, of func(soakSample) int) int {
		var values []int
		for _, v := range samples {
			values = append(values, of(v))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	for i, name := range []string{"broker", "writer"} {
		for what, of := range map[string]func(soakSample) int{
			"MiB of memory": func(v soakSample) int { return v.memory[i] },
			"open files":    func(v soakSample) int { return v.files[i] },
		} {
			before, after := median(s.samples[n/4:n/2], of), median(s.samples[3*n/4:], of)
			if after > before+before/4+8 {
				s.t.Errorf("%s: %d %s in the second quarter, %d in the last", name, before, what, after)
			}
		}
	}
	for _, v := range s.samples {
		if v.wal > 256 {
			s.t.Errorf("-wal has %d MiB", v.wal)
		}
	}
}

// resources returns the resident memory in MiB and the number of open files, 0 if
// the process does not run.
func (s *service) resources() (memory, files int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0, 0
	}
	dir := filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	open, err2 := os.ReadDir(filepath.Join(dir, "fd"))
	if errors.Join(err, err2) != nil {
		return 0, 0 // it has ended
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if fields := strings.Fields(rest); len(fields) > 0 {
		kib, err := strconv.Atoi(fields[0])
		if err != nil {
			s.t.Error(err)
		}
		memory = kib >> 10
	}
	return memory, len(open)
}

// diskMiB is the size of a file, or of all files of a folder. Files come and go
// meanwhile.
func diskMiB(path string) int {
	var size int64
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return int(size >> 20)
}

// sendSources sends rows of many data sets, some of each in turn, and each message
// until it is acknowledged.
func (s *soak) sendSources() {
	nc, err := nats.Connect(s.url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Error(err)
		return
	}
	const perMessage = 10
	messages := make(chan int)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for i := range messages {
				source, line := i%*soakSources, 2 + i / *soakSources * perMessage
				m := &nats.Msg{Subject: fmt.Sprint("mta.ridership.s", source), Header: nats.Header{
					"Turnstile-Source": {fmt.Sprint("s", source)}, "Turnstile-Line": {strconv.Itoa(line)}, "Turnstile-Columns": {witnessColumns},
				}}
				var body bytes.Buffer
				for n := range perMessage {
					fmt.Fprintf(&body, witnessRow, line+n)
				}
				m.Data = body.Bytes()
				for {
					if _, err := js.PublishMsg(context.Background(), m); err == nil {
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	for i := range *soakRows / perMessage {
		messages <- i
	}
	close(messages)
	workers.Wait()
}

// countSources checks the number of rows of each data set.
func (s *soak) countSources() {
	db, err := openJudged(s.path)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer db.Close()
	var sources, rows int
	if err := db.QueryRow(`SELECT count(*), sum(n) FROM (SELECT count(*) n FROM ride JOIN source ON source.id = ride.id >> 32
		WHERE name != ? AND ridership = ride.id & 0xffffffff GROUP BY source.id)`, probeSource).Scan(&sources, &rows); err != nil {
		s.t.Error(err)
	}
	if want := *soakRows / 10 * 10; rows != want || sources != min(*soakSources, want/10) {
		s.t.Errorf("%d rows of %d data sets, want %d of %d", rows, sources, want, *soakSources)
	}
}

const probeSource = "probe"

// A probe sends a row 20 times a second, and measures the time until it is
// confirmed.
type probe struct {
	nc    *nats.Conn
	ended chan struct{}

	mu    sync.Mutex
	sent  []time.Time // by number
	waits []time.Duration
	done  bool
}

func newProbe(url string) (*probe, error) {
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	p := &probe{nc: nc, ended: make(chan struct{})}
	_, err = nc.Subscribe("turnstile.confirm.probe.*", func(m *nats.Msg) {
		p.mu.Lock()
		defer p.mu.Unlock()
		n, err := strconv.Atoi(m.Subject[len("turnstile.confirm.probe."):])
		if err == nil && n < len(p.sent) {
			p.waits = append(p.waits, time.Since(p.sent[n]))
		}
	})
	return p, err
}

func (p *probe) run() {
	defer close(p.ended)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if !p.nc.IsConnected() {
			continue // at the start
		}
		p.mu.Lock()
		done, n := p.done, len(p.sent)
		p.sent = append(p.sent, time.Now())
		p.mu.Unlock()
		if done {
			return
		}
		m := &nats.Msg{Subject: "mta.ridership.probe", Data: fmt.Appendf(nil, witnessRow, n+2), Header: nats.Header{
			"Turnstile-Source": {probeSource}, "Turnstile-Line": {strconv.Itoa(n + 2)}, "Turnstile-Columns": {witnessColumns},
			"Turnstile-Confirm": {"turnstile.confirm.probe." + strconv.Itoa(n)},
		}}
		if err := p.nc.PublishMsg(m); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: probe:", err)
		}
	}
}

// first waits until a row is confirmed.
func (p *probe) first(t *testing.T) {
	for range 1000 {
		p.mu.Lock()
		n := len(p.waits)
		p.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(campaignPatience / 1000)
	}
	t.Fatalf("no row is confirmed after %v", campaignPatience)
}

// take returns the waits since the last call, sorted.
func (p *probe) take() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	waits := p.waits
	p.waits = nil
	slices.Sort(waits)
	return waits
}

func (p *probe) stop() {
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
	<-p.ended
}

func (p *probe) close() { p.nc.Close() }
