package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A fault is done to a round, and is over when do returns.
type fault struct {
	name  string
	needs string // the things that no other fault may touch meanwhile
	disk  bool   // it needs disks whose power can be cut
	do    func(*round, *rand.Rand)
}

// independent reports whether two faults may be done at the same time.
func (f fault) independent(g fault) bool {
	return !slices.ContainsFunc(strings.Fields(f.needs), func(need string) bool {
		return slices.Contains(strings.Fields(g.needs), need)
	})
}

var allFaults = slices.Concat(
	processFaults("broker", func(r *round) *service { return r.broker }),
	processFaults("consumer", func(r *round) *service { return r.consumer }),
	processFaults("producer", func(r *round) *service { return r.producer }),
	[]fault{
		{name: "wipe", needs: "broker", do: wipe},
		{name: "cut", needs: "link", do: cutLink},
		{name: "slow", needs: "link", do: slowDown},
		{name: "lock", needs: "consumer", do: lockDatabase},
		{name: "clone", needs: "consumer broker link", do: startClone},
		{name: "wal", needs: "consumer broker link", do: removeWAL},
		{name: "odd", do: sendOdd},
		{name: "full:broker", needs: "broker", disk: true, do: fillBroker},
		{name: "full:consumer", needs: "consumer", disk: true, do: func(r *round, rng *rand.Rand) { fillDisk(r.consumerMachine, rng) }},
		{name: "power:broker", needs: "broker", disk: true, do: func(r *round, rng *rand.Rand) {
			powerFailure(r, rng, []*machine{r.brokerMachine}, []*service{r.broker})
		}},
		{name: "power:consumer", needs: "consumer", disk: true, do: func(r *round, rng *rand.Rand) {
			powerFailure(r, rng, []*machine{r.consumerMachine}, []*service{r.consumer})
		}},
		{name: "power:both", needs: "broker consumer", disk: true, do: func(r *round, rng *rand.Rand) {
			powerFailure(r, rng, []*machine{r.brokerMachine, r.consumerMachine}, []*service{r.broker, r.consumer})
		}},
	})

// processFaults are what signals do to a process.
func processFaults(name string, of func(*round) *service) []fault {
	restart := func(sig os.Signal) func(*round, *rand.Rand) {
		return func(r *round, rng *rand.Rand) {
			of(r).restart(sig, func() {
				if name == "consumer" {
					r.checkConfirmed()
				}
				pause(rng, 1, 300)
			})
		}
	}
	return []fault{
		{name: "kill:" + name, needs: name, do: restart(os.Kill)},
		{name: "interrupt:" + name, needs: name, do: restart(os.Interrupt)},
		{name: "stop:" + name, needs: name, do: func(r *round, rng *rand.Rand) {
			of(r).signal(sigstop)
			pause(rng, 50, 1500)
			of(r).signal(sigcont)
		}},
	}
}

// restart ends a process by a signal, and starts it again unless it had done all.
func (s *service) restart(sig os.Signal, between func()) {
	select {
	case <-s.finished:
		return
	default:
	}
	s.stop(sig)
	between()
	s.start()
}

func powerFailure(r *round, rng *rand.Rand, machines []*machine, services []*service) {
	unsynced, err := cutPower(machines, services)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.unsynced.Add(int64(unsynced))
	if slices.Contains(services, r.consumer) {
		r.checkConfirmed()
	}
	pause(rng, 1, 300)
	for _, m := range machines {
		if err := m.powerOn(); err != nil {
			r.t.Error(err)
			return
		}
	}
	for _, s := range services {
		s.start()
	}
}

// wipe loses the broker's store.
func wipe(r *round, _ *rand.Rand) {
	r.broker.stop(os.Kill)
	if err := os.RemoveAll(filepath.Join(r.brokerMachine.path, "queue")); err != nil {
		r.t.Error(err)
	}
	r.wiped = true
	r.witness.wiped()
	r.broker.start()
}

func cutLink(r *round, rng *rand.Rand) {
	r.link.cut()
	pause(rng, 10, 1500)
	r.link.restore()
}

func slowDown(r *round, rng *rand.Rand) {
	r.link.setDelay(time.Duration(1+rng.IntN(300)) * time.Millisecond)
	pause(rng, 300, 2000)
	r.link.setDelay(0)
}

// fillBroker fills the disk of the broker. After a wipe it waits for a message: without
// room for the stream the broker ends, and without room for its first message the server
// begins with the second one, as if the first had been acknowledged.
func fillBroker(r *round, rng *rand.Rand) {
	for end := time.Now().Add(campaignPatience); r.wiped; time.Sleep(10 * time.Millisecond) {
		last, err := lastSequence("nats://" + r.address)
		if last > 0 {
			break
		}
		if time.Now().After(end) {
			r.t.Errorf("no message in the queue after %v: %v", campaignPatience, err)
			return
		}
	}
	fillDisk(r.brokerMachine, rng)
}

// fillDisk leaves little room or none.
func fillDisk(m *machine, rng *rand.Rand) {
	m.disk.SetRoom([...]int64{0, rng.Int64N(1 << 20)}[rng.IntN(2)])
	pause(rng, 100, 2000)
	m.disk.SetRoom(-1)
}

// lockVariable has the path of a database that this test program locks as a
// process of its own: see holdLock.
const lockVariable = "TURNSTILE_E2E_LOCK"

// lockDatabase lets another process hold the write lock of the database.
func lockDatabase(r *round, rng *rand.Rand) {
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), lockVariable+"="+r.db())
	in, err := holder.StdinPipe()
	if err == nil {
		holder.Stderr = os.Stderr
		err = holder.Start()
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	pause(rng, 100, 3000)
	if err := errors.Join(in.Close(), holder.Wait()); err != nil {
		r.t.Errorf("the process that holds the lock: %v", err)
	}
}

// holdLock locks a database until its standard input ends.
func holdLock(path string) error {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(60000)")
	if err != nil {
		return err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	_, err = conn.ExecContext(context.Background(), "ROLLBACK")
	return errors.Join(err, conn.Close(), db.Close())
}

// startClone copies the database, lets the original go on, and starts a consumer
// on the copy, beside the original or after it. It must be refused, also at the
// path of the original: there another container would have it.
func startClone(r *round, rng *rand.Rand) {
	r.consumer.stop(os.Interrupt)
	clone := filepath.Join(r.dir, fmt.Sprint("clone-", len(r.done)))
	err := os.Mkdir(clone, 0o700)
	for _, suffix := range []string{"", "-wal"} {
		data, err2 := os.ReadFile(r.db() + suffix)
		if errors.Is(err2, os.ErrNotExist) {
			continue
		}
		err = errors.Join(err, err2, os.WriteFile(filepath.Join(clone, "rides.db"+suffix), data, 0o600))
	}
	mounts, err2 := canMount()
	if err := errors.Join(err, err2); err != nil {
		r.t.Error(err)
		return
	}
	r.consumer.start()
	r.progress()
	alone := rng.IntN(2) == 0
	if alone {
		r.consumer.stop(os.Interrupt)
		defer r.consumer.start()
	}
	command := []string{r.consumer.program, "--server", "nats://" + r.link.address(), "--db", filepath.Join(clone, "rides.db")}
	if mounts && rng.IntN(3) > 0 {
		command[len(command)-1] = r.db()
		command = append([]string{
			"unshare", unshareFlags(), "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, clone, r.consumerMachine.path,
		}, command...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), campaignPatience)
	defer cancel()
	copied := exec.CommandContext(ctx, command[0], command[1:]...)
	out, err := copied.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !refusedCopy.Match(out) {
		r.t.Errorf("a consumer on a copy of the database, the original alive: %v: %v\n%s\n%s", !alone, err, copied, out)
	}
}

// refusedCopy is what the fence says to a copy.
var refusedCopy = regexp.MustCompile(`copy of (this database|it)|lacks rows|to another database`)

// removeWAL removes the -wal file of the database. The consumer must notice, save
// its rows, and end; it is then started again.
func removeWAL(r *round, _ *rand.Rand) {
	r.progress() // it runs, and has a WAL
	if err := os.Remove(r.db() + "-wal"); err != nil {
		r.t.Error(err)
		return
	}
	if err := r.consumer.stopped(campaignPatience); err != nil {
		r.t.Error(err)
	}
	r.checkConfirmed()
	r.consumer.start()
}

// sendOdd publishes messages that are not turnstile's between the others.
func sendOdd(r *round, rng *rand.Rand) {
	nc, err := nats.Connect("nats://"+r.link.address(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		r.t.Error(err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Error(err)
		return
	}
	for range 20 {
		shape := oddShapes[rng.IntN(len(oddShapes))]
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: "mta.ridership.x", Header: shape.Header, Data: shape.Data}, jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			r.oddSent.Store(true) // otherwise the broker is away
		}
		pause(rng, 1, 40)
	}
}
