package e2e

// The scripts of testdata run the real binaries, each in a folder of its own.
//
//	go test ./internal/e2e                        all of them
//	go test ./internal/e2e -run Scripts/replay    one
//
// Beside the commands of testscript (exec, stdin, stdout, cmp, grep, ...) a
// script has these. All that wait have a deadline.
//
// Processes
//
//	start NAME PROGRAM [ARG...]        in the background; it writes NAME.out and NAME.err, $NAME_pid is its id
//	startbroker [ARG...]               the same for "broker", at $NATS_URL, its store in ./queue; returns
//	                                   when it has the stream
//	signal -SIG NAME                   INT, TERM, KILL, STOP, CONT
//	end [-SIG] NAME [S]                signal (INT), then as ended
//	ended NAME [S]                     until it has ended, with exit status S (0); after KILL any
//	peak NAME MIB                      fails if a process that runs had more memory resident
//	[!] waitfor FILE REGEXP            until a line of the file matches; with !, none may have
//
// Databases
//
//	waitrows DB N                      until the table ride has N rows, or more
//	sql DB QUERY                       prints the result, columns joined by |; see stdout
//	flawlines LIST DB SOURCE           the rejects of a source stand at the lines that generate listed
//	sums DB SOURCE FILE                the rows of the file, its riders and transfers by station, as
//	                                   encoding/csv reads them, are those of the view ridership
//
// Files
//
//	append FILE TEXT [N]               N (1) times, TEXT with Go's escapes: 'a\xffb\n'
//	setline FILE N TEXT                replaces a line, and keeps its end
//	gzip FILE                          makes FILE.gz
//
// The queue
//
//	[!] publish [-h KEY=VALUE]... SUBJECT FILE    to the stream, until it is acknowledged
//	[!] request [-h KEY=VALUE]... SUBJECT FILE    prints the answer; see stdout
//	slowlink D                                    sets $NATS_URL to a proxy that delays all by D each way
//	messages                                      prints what the stream holds: SUBJECT SOURCE LINE, then the rows
//	drained                                       waits until the stream holds nothing
//	oddmessages N                                 sends N messages of each odd shape, and among them N good rows of
//	                                              odd.csv, from line 2 on
//
// $DATA is the project's data folder, $ADDRESS is $NATS_URL without the scheme,
// $MONITOR another address that is free.
// $REAL has the real files where the condition [real] holds. [race] holds under
// the race detector, where everything takes several times as long. [mounts]
// holds where "unshare $MOUNTS" gives a process mounts of its own.

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"turnstile/internal/web/webtest"
)

// patience is how long a script waits for an event. It is long because the
// machine may be busy; only a failing test waits that long.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	// Scripts mostly wait, so four run at a time, however few CPUs there are. Under the
	// race detector they work.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue && raceFlag == nil {
		if err := f.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	if path := os.Getenv(lockVariable); path != "" {
		if err := holdLock(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "turnstile-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries.dir = dir
	status := webtest.Main(m)
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// raceFlag is -race where the tests run under the race detector.
var raceFlag []string

// binaries are built once, by the first test that needs one. go build links only what
// has changed since the last run, which is most of what a build costs.
var binaries struct {
	dir  string
	once sync.Once
	err  error
}

// buildAll builds the commands as a user would have them, and returns where.
func buildAll() (string, error) {
	b := &binaries
	b.once.Do(func() {
		built := filepath.Join("var", "e2e"+strings.Join(raceFlag, "")) + string(filepath.Separator)
		// Without -buildvcs=false go build runs git, which may refuse the checkout.
		args := append([]string{"build", "-buildvcs=false", "-o", built}, raceFlag...)
		build := exec.Command("go", append(args, "./broker", "./producer", "./consumer", "./contention", "./data/generate", "./internal/e2e/testdata/ownprogram")...)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%s: %w\n%s", build, err, out)
			return
		}
		// These tests keep their binaries, whatever another run builds meanwhile.
		b.err = os.CopyFS(b.dir, os.DirFS(filepath.Join(root, built)))
	})
	return b.dir, b.err
}

// binary is the path of a command, built.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := buildAll()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, name)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: the scripts stop processes by signals, and Windows has none")
	}
	real := os.Getenv("TURNSTILE_REAL_DATA")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			dir, err := buildAll()
			if err != nil {
				return err
			}
			data, err := filepath.Abs(filepath.Join("..", "..", "data"))
			if err != nil {
				return err
			}
			address, err := freeAddress()
			monitor, err2 := freeAddress()
			monitor2, err3 := freeAddress()
			if err := errors.Join(err, err2, err3); err != nil {
				return err
			}
			// A data race ends a process at once, with status 66. By default each
			// process also sleeps for a second at its end.
			env.Setenv("GORACE", "halt_on_error=1 atexit_sleep_ms=0")
			env.Setenv("PATH", dir+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("DATA", data)
			env.Setenv("REAL", real)
			env.Setenv("ADDRESS", address)
			env.Setenv("NATS_URL", "nats://"+address)
			env.Setenv("MONITOR", monitor)
			env.Setenv("MONITOR2", monitor2)
			env.Setenv("MOUNTS", unshareFlags())
			p := processes{}
			env.Values[processesKey{}] = p
			env.Defer(p.killAll)
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "real":
				return real != "", nil
			case "race":
				return len(raceFlag) > 0, nil
			case "mounts":
				return canMount()
			case "natscli":
				return haveNATSCLI()
			case "smalldisk":
				return canMountHere()
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "startbroker": startBroker, "signal": sendSignal, "end": end, "ended": ended, "peak": peak, "waitfor": waitFor,
			"waitrows": waitRows, "sql": query, "sums": sums, "flawlines": flawLines,
			"append": appendText, "setline": setLine, "gzip": compress,
			"publish": publish, "request": request, "messages": messages, "drained": drained, "oddmessages": oddMessages,
			"slowlink": slowLink, "smalldisk": smallDisk, "waitget": waitGet,
		},
	})
}

// unshareFlags are the flags of unshare for a new mount namespace. Without root
// it needs a user namespace, too.
func unshareFlags() string {
	if os.Getuid() == 0 {
		return "-m"
	}
	return "-rm"
}

// canMount tries it. Under CI it must work.
func canMount() (bool, error) {
	try := exec.Command("unshare", unshareFlags(), "mount", "-t", "tmpfs", "tmpfs", "/mnt")
	out, err := try.CombinedOutput()
	if err != nil && os.Getenv("CI") == "true" {
		return false, fmt.Errorf("%s: %w: %s", try, err, out)
	}
	return err == nil, nil
}

// canMountHere reports whether smalldisk works: it needs root. Under CI it must
// work.
func canMountHere() (bool, error) {
	if os.Getuid() == 0 && runtime.GOOS == "linux" {
		return true, nil
	}
	if os.Getenv("CI") == "true" {
		return false, errors.New("small disks need root, on Linux")
	}
	return false, nil
}

// natsCLI is the version of the nats CLI that the scripts are tried with.
const natsCLI = "github.com/nats-io/natscli/nats@v0.5.1"

// haveNATSCLI reports whether there is a nats CLI. Under CI it is installed beside the
// commands.
func haveNATSCLI() (bool, error) {
	if os.Getenv("CI") == "true" {
		install := exec.Command("go", "install", natsCLI)
		install.Env = append(os.Environ(), "GOBIN="+binaries.dir, "GOFLAGS=")
		out, err := install.CombinedOutput()
		if err != nil {
			return false, fmt.Errorf("%s: %w\n%s", install, err, out)
		}
		return true, nil
	}
	_, err := exec.LookPath("nats")
	return err == nil, nil
}

// smallDisk mounts an empty disk of a size, such as 24m, until the script ends.
func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 2, "smalldisk SIZE DIR")
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(ts.Exec("mount", "-t", "tmpfs", "-o", "size="+args[0], "tmpfs", dir))
	ts.Defer(func() { ts.Check(ts.Exec("umount", "--lazy", dir)) })
}

// givenAddresses are those of freeAddress. Nobody listens there while a broker is down.
var givenAddresses sync.Map

// freeAddress returns an address with a free port, each once. It is outside the range of
// outgoing connections: one of those could take the port before its user does.
func freeAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if _, given := givenAddresses.LoadOrStore(address, true); given {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port in 100 tries")
}

// refuse ends a script that misuses a command.
func refuse(ts *testscript.TestScript, bad bool, usage string) {
	if bad {
		ts.Fatalf("usage: %s", usage)
	}
}

// poll waits until yes returns true. It fails the script after d.
func poll(ts *testscript.TestScript, d time.Duration, what string, yes func() bool) {
	for end := time.Now().Add(d); !yes(); {
		if time.Now().After(end) {
			ts.Fatalf("waited %v for %s", d, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
