package e2e

// The script commands that start processes, stop them, and read what they log
// while they run.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
)

type processesKey struct{}

// processes are the processes of a script, by name.
type processes map[string]*process

type process struct {
	*exec.Cmd
	done   chan struct{} // closed when it has ended
	killed bool          // by KILL: its exit status says nothing
}

func processesOf(ts *testscript.TestScript) processes {
	return ts.Value(processesKey{}).(processes)
}

func (p processes) killAll() {
	for _, one := range p {
		if err := one.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintln(os.Stderr, "e2e: kill", one, err)
		}
		<-one.done
	}
}

func (p processes) find(ts *testscript.TestScript, name string) *process {
	one, ok := p[name]
	if !ok {
		ts.Fatalf("no process is called %s", name)
	}
	return one
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) < 2, "start NAME PROGRAM [ARG...]")
	name := args[0]
	all := processesOf(ts)
	if old, ok := all[name]; ok {
		select {
		case <-old.done:
		default:
			ts.Fatalf("%s is running", name)
		}
	}
	program, err := lookPath(ts, args[1])
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = out, stderr
	ts.Check(cmd.Start())
	p := &process{Cmd: cmd, done: make(chan struct{})}
	all[name] = p
	ts.Setenv(name+"_pid", strconv.Itoa(cmd.Process.Pid))
	go func() {
		defer close(p.done)
		var exit *exec.ExitError
		if err := errors.Join(cmd.Wait(), out.Close(), stderr.Close()); err != nil && !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, "e2e:", err)
		}
	}()
}

func lookPath(ts *testscript.TestScript, program string) (string, error) {
	if strings.ContainsRune(program, os.PathSeparator) {
		return program, nil
	}
	for _, ours := range []string{"broker", "producer", "consumer", "contention", "generate"} {
		if program == ours {
			dir, err := buildAll()
			return dir + string(os.PathSeparator) + program + ts.Getenv("exe"), err
		}
	}
	return exec.LookPath(program)
}

// environment returns the variables that the commands need. testscript does not
// export the environment of exec.
func environment(ts *testscript.TestScript) []string {
	env := []string{}
	for _, key := range []string{
		"PATH", "HOME", "TMPDIR", "NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_CREDS",
		"NO_COLOR", "GOCOVERDIR", "GORACE", "SystemRoot", "TMP", "USERPROFILE",
	} {
		if v := ts.Getenv(key); v != "" {
			env = append(env, key+"="+v)
		}
	}
	return env
}

func startBroker(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, "startbroker [ARG...]")
	start(ts, false, append([]string{
		"broker", "broker", "--listen", ts.Getenv("ADDRESS"), "--monitor", "", "--store", "queue",
	}, args...))
	broker := processesOf(ts)["broker"]
	poll(ts, patience, "the broker and its stream", func() bool {
		select {
		case <-broker.done:
			ts.Fatalf("the broker has ended: %s", ts.ReadFile("broker.err"))
		default:
		}
		_, err := lastSequence(ts.Getenv("NATS_URL"))
		return err == nil
	})
}

// lastSequence is that of the newest message which the stream of a broker ever had.
func lastSequence(url string) (uint64, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	ctx, cancel := testContext()
	defer cancel()
	s, err := js.Stream(ctx, "MTA")
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 2 || !strings.HasPrefix(args[0], "-"), "signal -SIG NAME")
	p := processesOf(ts).find(ts, args[1])
	signals := map[string]os.Signal{
		"-INT": os.Interrupt, "-KILL": os.Kill, "-TERM": syscall.SIGTERM, "-STOP": sigstop, "-CONT": sigcont,
	}
	sig := signals[args[0]]
	refuse(ts, sig == nil, "signal -INT|-TERM|-KILL|-STOP|-CONT NAME")
	p.killed = p.killed || sig == os.Kill
	ts.Check(p.Process.Signal(sig))
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	sig := "-INT"
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		sig, args = args[0], args[1:]
	}
	refuse(ts, neg || len(args) == 0, "end [-SIG] NAME [STATUS]")
	sendSignal(ts, false, []string{sig, args[0]})
	ended(ts, false, args)
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) == 0 || len(args) > 2, "ended NAME [STATUS]")
	name, want := args[0], 0
	if len(args) == 2 {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		want = n
	}
	p := processesOf(ts).find(ts, name)
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s has not ended within %v:\n%s", name, patience, ts.ReadFile(name+".err"))
	}
	if got := p.ProcessState.ExitCode(); got != want && !p.killed {
		ts.Fatalf("%s ended with %d, want %d:\n%s", name, got, want, ts.ReadFile(name+".err"))
	}
}

// peak checks the most memory that a process had until now.
func peak(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 2, "peak NAME MIB")
	most, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	got := residentPeak(processesOf(ts).find(ts, args[0]).Process.Pid) >> 20
	ts.Logf("%s: %d MiB", args[0], got)
	if got == 0 && runtime.GOOS == "linux" {
		ts.Fatalf("the memory of %s cannot be read", args[0])
	}
	if got > most && len(raceFlag) == 0 { // the race detector takes several times as much
		ts.Fatalf("%s had %d MiB resident, want %d or less", args[0], got, most)
	}
}

// residentPeak returns the most memory that a process had resident until now, in bytes;
// 0 where that can't be read.
func residentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(status), "\nVmHWM:")
	line, _, _ = strings.Cut(line, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0 // it has ended
	}
	return kib << 10
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, len(args) != 2, "[!] waitfor FILE REGEXP")
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if neg {
		if found := re.FindString(ts.ReadFile(args[0])); found != "" {
			ts.Fatalf("%s has %q", args[0], found)
		}
		return
	}
	for end := time.Now().Add(patience); !re.MatchString(ts.ReadFile(args[0])); {
		if time.Now().After(end) {
			ts.Fatalf("waited %v for %s in %s:\n%s", patience, re, args[0], ts.ReadFile(args[0]))
		}
		<-time.After(5 * time.Millisecond)
	}
}

// waitGet waits until GET http://ADDRESS/PATH answers with a status and a text.
func waitGet(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 3, "waitget ADDRESS/PATH STATUS REGEXP")
	want := regexp.MustCompile("(?m)" + args[2])
	last := ""
	client := http.Client{Timeout: 5 * time.Second}
	defer func() { ts.Logf("%s", last) }()
	poll(ts, patience, "GET "+args[0], func() bool {
		r, err := client.Get("http://" + args[0])
		if err != nil {
			last = err.Error()
			return false
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		last = fmt.Sprint(r.Status, " ", string(body), err)
		return strconv.Itoa(r.StatusCode) == args[1] && want.Match(body)
	})
}
