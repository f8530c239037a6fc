package e2e

// The campaign: the guarantee against all faults at once. Each round runs broker,
// consumer and producer as real processes, and a client of its own; does several
// faults of campaign_faults_test.go to them while rows flow; lets everything
// finish; and judges the database by consumer verify and by a count that does
// not use the project's code.
//
//	go test ./internal/e2e -run Campaign -v                    one round
//	go test ./internal/e2e -run Campaign -v -rounds 300 -timeout 3h
//	go test ./internal/e2e -run 'PowerCut$' -v -rounds 100      power cuts alone
//	go test ./internal/e2e -run PowerCutSyncInterval -v -rounds 20
//	go test ./internal/e2e -run Campaign -v -rounds 300 -faults kill,power:broker,odd
//	go test ./internal/e2e -run Campaign -v -rounds 1 -seed S   round S again
//
// A round prints one line: its seed, its faults in order, what was sent, what came
// of it. The seed decides on the faults, their moments and the data. The same
// seed does the same things to other instructions of the processes: a failure
// that takes a certain instant may need several rounds of the seed.

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	campaignRounds = flag.Int("rounds", 0, "rounds of the campaign (default 1; with CI=true 30, and 10 of power cuts)")
	campaignSeed   = flag.Uint64("seed", 0, "`SEED` of the first round of the campaign; the next round has the next number (default random)")
	campaignFaults = flag.String("faults", "", "`FAULTS` of the campaign, such as power,kill:broker (default all)")
)

const (
	campaignRows  = 10_000 // of the producer
	campaignSteps = 4      // of one or two faults each
	// campaignPatience bounds each wait of a round.
	campaignPatience = 90 * time.Second
	// commandPatience bounds a command that is run to its end.
	commandPatience = 10 * time.Minute
)

func TestCampaign(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("CI") == "true" {
		rounds = 30
	}
	runCampaign(t, rounds, *campaignFaults, "always")
}

// TestPowerCut is the campaign with power cuts alone.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("CI") == "true" {
		rounds = 10
	}
	if err := powerCutAvailable(); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("NOT TESTED: no power can be cut here: %v", err)
	}
	runCampaign(t, rounds, "power", "always")
}

// TestPowerCutSyncInterval has a broker that syncs every two seconds. Rows that it
// acknowledged may be missing, and are counted; the rest holds as always.
func TestPowerCutSyncInterval(t *testing.T) {
	if *campaignRounds == 0 {
		// It promises less than the default: rows are lost, and in one of some thirty
		// rounds the queue has acknowledged more than the database has, which is then
		// refused until --adopt.
		t.Skip("NOT RUN: --sync 2s after a power cut is measured with -rounds N")
	}
	if err := powerCutAvailable(); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("NOT TESTED: no power can be cut here: %v", err)
	}
	lost := runCampaign(t, *campaignRounds, "power", "2s")
	t.Logf("--sync 2s lost %d rows that the broker had acknowledged", lost)
}

// runCampaign runs rounds with a broker that syncs as told, and returns how many
// acknowledged rows are missing.
func runCampaign(t *testing.T, rounds int, names, sync string) (lost int) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: the campaign stops processes by signals, and Windows has none")
	}
	faults := chosenFaults(t, names)
	if *campaignRounds > 0 {
		rounds = *campaignRounds
	}
	seed := *campaignSeed
	if seed == 0 {
		seed = rand.Uint64N(1e9) + 1
	}
	for i := range uint64(rounds) {
		t.Run(fmt.Sprint("seed=", seed+i), func(t *testing.T) {
			r := newRound(t, seed+i, sync)
			start := time.Now()
			defer func() {
				result := "ok"
				if t.Failed() {
					result = fmt.Sprintf("FAILED; again: go test ./internal/e2e -run %s -v -rounds 1 -seed %d", strings.Split(t.Name(), "/")[0], seed+i)
					if *campaignFaults != "" {
						result += " -faults " + *campaignFaults
					}
				}
				fmt.Printf("seed=%d %s: %s, %d bytes unsynced at power cuts, %.1f s: %s\n", seed+i, strings.Join(r.done, ", "), r.witness,
					r.unsynced.Load(), time.Since(start).Seconds(), result)
			}()
			r.run(faults)
			r.settle()
			r.judge()
			for _, s := range []*service{r.broker, r.consumer, r.producer} {
				if n := s.endedAlone(); n > 0 {
					t.Errorf("%s has ended by itself %d times", filepath.Base(s.program), n)
				}
			}
			lost += r.lost
		})
	}
	return lost
}

// chosenFaults are those of names, or all, that can be done here. Where the power
// can't be cut that is said, and is a failure under CI.
func chosenFaults(t *testing.T, names string) (faults []fault) {
	noPower := powerCutAvailable()
	if noPower != nil && os.Getenv("CI") == "true" {
		t.Fatalf("no power can be cut here: %v", noPower)
	}
	var missing []string
	for _, f := range allFaults {
		base, _, _ := strings.Cut(f.name, ":")
		chosen := strings.Split(names, ",")
		switch {
		case names != "" && !slices.Contains(chosen, f.name) && !slices.Contains(chosen, base):
		case f.disk && noPower != nil:
			missing = append(missing, f.name)
		default:
			faults = append(faults, f)
		}
	}
	if len(missing) > 0 {
		t.Logf("NOT TESTED: %s: %v", strings.Join(missing, ", "), noPower)
	}
	if len(faults) == 0 {
		t.Fatalf("no faults are called %q", names)
	}
	return faults
}

// A round is a queue, a database, their machines, and the processes.
type round struct {
	t   *testing.T
	rng *rand.Rand
	dir string
	// sync is the --sync of the broker. If it is not always, lost rows do not fail the
	// round.
	sync string

	brokerMachine, consumerMachine *machine
	broker, consumer, producer     *service
	file                           string // of the producer
	flaws                          string // the list of its flawed rows
	address                        string // of the broker
	link                           *link  // to it, for all others
	witness                        *witness
	done                           []string // the faults, in order
	oddSent                        atomic.Bool
	wiped                          bool
	lost                           int          // acknowledged rows that are missing
	unsynced                       atomic.Int64 // bytes that were not synced at power cuts
}

func newRound(t *testing.T, seed uint64, sync string) *round {
	r := &round{t: t, sync: sync, rng: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}
	r.brokerMachine, r.consumerMachine = newMachine(r, "broker"), newMachine(r, "consumer")
	r.file = filepath.Join(r.dir, "rides.csv")
	generate := exec.Command(binary(t, "generate"), "--rows", fmt.Sprint(campaignRows), "--seed", fmt.Sprint(seed%1000),
		"--flaws", "0.002", "--output", r.file)
	out, err := generate.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", generate, err, out)
	}
	r.flaws = string(out)
	if r.address, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	r.link, err = newLink(r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.link.close)
	url := "nats://" + r.link.address()
	r.broker = r.service("broker", "--listen", r.address, "--monitor", "", "--store", filepath.Join(r.brokerMachine.path, "queue"), "--sync", sync)
	r.consumer = r.service("consumer", "--server", url, "--db", r.db(), "--batch", fmt.Sprint(100<<r.rng.IntN(6)))
	confirm := [...]string{"queued", "stored"}[r.rng.IntN(2)]
	if sync != "always" {
		confirm = "stored" // it resends what the broker loses
	}
	rate := [...]string{"max", "2000/s", "4000/s"}[r.rng.IntN(3)]
	r.producer = r.service("producer", "--server", url, "--rate", rate, "--message-size", fmt.Sprint(1<<(10+r.rng.IntN(6))), "--confirm", confirm, r.file)
	r.producer.once = true
	r.witness, err = newWitness(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.witness.close)
	return r
}

func (r *round) db() string { return filepath.Join(r.consumerMachine.path, "rides.db") }

// run does the faults while rows flow.
func (r *round) run(faults []fault) {
	for _, s := range []*service{r.broker, r.consumer, r.producer} {
		s.start()
	}
	r.witness.start()
	r.progress()
	for range campaignSteps {
		if r.rng.IntN(3) > 0 {
			r.progress() // else the fault comes while the last one is being dealt with
		}
		// The moment of a fault is random; nothing else here depends on time.
		r.pause(10, 400)
		first := faults[r.rng.IntN(len(faults))]
		both := []fault{first}
		if second := faults[r.rng.IntN(len(faults))]; r.rng.IntN(2) == 0 && first.independent(second) {
			both = append(both, second)
		}
		r.do(both)
		if r.t.Failed() {
			return
		}
	}
	r.progress()
}

// do does faults at the same time.
func (r *round) do(faults []fault) {
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	r.done = append(r.done, strings.Join(names, "+"))
	ended := make(chan struct{})
	for _, f := range faults {
		rng := rand.New(rand.NewPCG(r.rng.Uint64(), 1))
		go func() {
			defer func() { ended <- struct{}{} }()
			f.do(r, rng)
		}()
	}
	for range faults {
		<-ended
	}
}

// pause waits for a random time between two bounds in milliseconds.
func (r *round) pause(from, to int) { pause(r.rng, from, to) }

func pause(rng *rand.Rand, from, to int) {
	<-time.After(time.Duration(from+rng.IntN(to-from)) * time.Millisecond)
}

// progress waits until a row that was sent from now on is confirmed.
func (r *round) progress() {
	if err := r.witness.progress(campaignPatience); err != nil {
		r.t.Error(err)
	}
}

// settle waits until the producer and the client have sent all that they have,
// and drains the queue.
func (r *round) settle() {
	if r.t.Failed() {
		return
	}
	select {
	case <-r.producer.finished:
	case <-time.After(campaignPatience):
		r.t.Errorf("the producer has not ended after %v", campaignPatience)
		return
	}
	if err := r.witness.finish(filepath.Join(r.dir, witnessSource), campaignPatience); err != nil {
		r.t.Error(err)
		return
	}
	if r.wiped { // the rows that were in the queue then
		r.command("producer", "--server", "nats://"+r.link.address(), "--rate", "max", "--confirm", "stored", r.file)
	}
	r.consumer.stop(os.Interrupt)
	r.command("consumer", "--server", "nats://"+r.link.address(), "--db", r.db(), "--until-drained")
	r.broker.stop(os.Interrupt)
}

// command runs a command to its end, which must be a good one.
func (r *round) command(name string, args ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(r.t, name), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("%s: %v\n%s", cmd, err, tail(string(out)))
	}
}
