package e2e

// The guarantee against kill -9: producer, consumer and broker are killed at
// random moments and started again; then every row must be in the database
// once, by consumer verify and by a count that does not use the project's code.

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

var (
	crashRounds = flag.Int("crash-rounds", 0, "rounds of the crash test (default 3; 20 with CI=true)")
	crashSeed   = flag.Uint64("crash-seed", 0, "run the one round with this seed")
)

const (
	crashRows  = 20_000
	crashKills = 8
)

func TestCrash(t *testing.T) {
	rounds := *crashRounds
	if rounds == 0 {
		if rounds = 3; os.Getenv("CI") == "true" {
			rounds = 20
		}
	}
	seeds := []uint64{*crashSeed}
	if *crashSeed == 0 {
		seeds = seeds[:0]
		for range rounds {
			seeds = append(seeds, rand.Uint64()>>1|1)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			c := newCrash(t, seed)
			c.killAtRandom()
			c.settle()
			c.prove()
			if t.Failed() {
				t.Logf("again: go test ./internal/e2e -run TestCrash -crash-seed %d", seed)
			}
		})
	}
}

// A crash is one round: a queue, a database, a file and their processes.
type crash struct {
	t        *testing.T
	rng      *rand.Rand
	dir      string
	file, db string
	url      string
	commands map[string][]string
	running  map[string]*crashProcess
}

type crashProcess struct {
	*exec.Cmd
	log  *bytes.Buffer
	done chan error
}

func newCrash(t *testing.T, seed uint64) *crash {
	dir := t.TempDir()
	c := &crash{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), dir: dir,
		file: filepath.Join(dir, "rides.csv"), db: filepath.Join(dir, "rides.db"),
		running: map[string]*crashProcess{},
	}
	c.run(exec.Command(binary(t, "generate"), "--rows", fmt.Sprint(crashRows), "--seed", fmt.Sprint(seed%1000),
		"--flaws", "0.001", "--output", c.file))
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	c.url = "nats://" + address
	c.commands = map[string][]string{
		"broker":   {"--listen", address, "--monitor", "", "--store", filepath.Join(dir, "broker")},
		"consumer": {"--server", c.url, "--db", c.db, "--batch", "500"},
		// Small messages: there must be something to interrupt.
		"producer": {"--server", c.url, "--rate", "max", "--message-size", "4096", "--confirm", "stored", c.file},
	}
	t.Cleanup(func() {
		for name := range c.running {
			c.kill(name)
		}
	})
	return c
}

func (c *crash) start(name string) {
	p := &crashProcess{exec.Command(binary(c.t, name), c.commands[name]...), new(bytes.Buffer), make(chan error, 1)}
	p.Stdout, p.Stderr = p.log, p.log
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { p.done <- p.Wait() }()
	c.running[name] = p
}

// kill ends a process with SIGKILL.
func (c *crash) kill(name string) {
	p := c.running[name]
	delete(c.running, name)
	if err := p.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Errorf("kill %s: %v", name, err)
	}
	<-p.done
	if c.t.Failed() {
		c.t.Logf("%s:\n%s", name, tail(p.log.String()))
	}
}

func tail(log string) string {
	const most = 4000
	return log[max(0, len(log)-most):]
}

// killAtRandom kills one process after the other while rows flow, and starts
// it again.
func (c *crash) killAtRandom() {
	names := []string{"broker", "consumer", "producer"}
	for _, name := range names {
		c.start(name)
	}
	for range crashKills {
		// The moment of a crash is random; nothing else here depends on time.
		pause := time.NewTimer(time.Duration(10+c.rng.IntN(190)) * time.Millisecond)
		<-pause.C
		name := names[c.rng.IntN(len(names))]
		c.kill(name)
		c.start(name)
	}
}

// settle waits until the producer reports all rows as stored and the consumer
// has drained the queue.
func (c *crash) settle() {
	select {
	case err := <-c.running["producer"].done:
		c.running["producer"].done <- err
		if err != nil {
			c.t.Errorf("the last producer must report every row as stored: %v\n%s", err, tail(c.running["producer"].log.String()))
		}
	case <-time.After(60 * time.Second):
		c.t.Errorf("the producer has not ended after 60 s:\n%s", tail(c.running["producer"].log.String()))
	}
	c.kill("consumer")
	c.run(exec.Command(binary(c.t, "consumer"), "--server", c.url, "--db", c.db, "--until-drained"))
}

func (c *crash) run(cmd *exec.Cmd) {
	c.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, tail(string(out)))
	}
}

// prove verifies, and then counts: the lines of the file are in ride or in
// reject, none in both, none twice, and the riders add up.
func (c *crash) prove() {
	c.run(exec.Command(binary(c.t, "consumer"), "verify", "--db", c.db, c.file))
	db, err := sql.Open("sqlite", "file:"+c.db+"?mode=ro")
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	number := func(query string) (n int) {
		if err := db.QueryRow(query).Scan(&n); err != nil {
			c.t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	rides, rejects := number("SELECT count(*) FROM ride"), number("SELECT count(*) FROM reject")
	if rides+rejects != crashRows || rejects == 0 {
		c.t.Errorf("%d rides and %d rejects, want %d in all and some rejects", rides, rejects, crashRows)
	}
	if n := number("SELECT count(*) FROM ride JOIN reject ON ride.id & 0xffffffff = reject.line"); n != 0 {
		c.t.Errorf("%d lines are in ride and in reject", n)
	}
	if got, want := number("SELECT sum(ridership) FROM ride"), c.riders(db); got != want {
		c.t.Errorf("%d riders in the database, %d in the file", got, want)
	}
}

// riders adds up the file without the project's code: encoding/csv over the
// lines that were not rejected.
func (c *crash) riders(db *sql.DB) (sum int) {
	text, err := os.ReadFile(c.file)
	if err != nil {
		c.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	rows, err := db.Query("SELECT line FROM reject")
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line int
		if err := rows.Scan(&line); err != nil {
			c.t.Fatal(err)
		}
		lines[line-1] = ""
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(strings.Join(lines, "")))
	header, err := r.Read()
	if err != nil {
		c.t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range header {
		column[strings.ToLower(name)] = i
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return sum
		}
		if err != nil {
			c.t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.ReplaceAll(record[column["ridership"]], ",", ""))
		if err != nil {
			c.t.Fatal(err)
		}
		sum += n
	}
}
