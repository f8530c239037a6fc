package e2e

// The script commands that speak to the queue as any NATS client may.

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
)

// message is what a script wants sent.
func message(ts *testscript.TestScript, args []string, usage string) *nats.Msg {
	m := &nats.Msg{Header: nats.Header{}}
	for len(args) > 1 && args[0] == "-h" {
		key, value, ok := strings.Cut(args[1], "=")
		refuse(ts, !ok, usage)
		m.Header[key] = append(m.Header[key], value)
		args = args[2:]
	}
	refuse(ts, len(args) != 2, usage)
	m.Subject, m.Data = args[0], []byte(ts.ReadFile(args[1]))
	return m
}

// judge fails the script where the outcome is not as it says.
func judge(ts *testscript.TestScript, neg bool, what string, err error) {
	switch {
	case neg && err == nil:
		ts.Fatalf("%s has worked", what)
	case !neg && err != nil:
		ts.Fatalf("%s: %v", what, err)
	}
}

func publish(ts *testscript.TestScript, neg bool, args []string) {
	m := message(ts, args, "[!] publish [-h KEY=VALUE]... SUBJECT FILE")
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ts.Check(err)
	ctx, cancel := testContext()
	defer cancel()
	_, err = js.PublishMsg(ctx, m)
	judge(ts, neg, "publish", err)
}

func request(ts *testscript.TestScript, neg bool, args []string) {
	m := message(ts, args, "[!] request [-h KEY=VALUE]... SUBJECT FILE")
	nc, err := nats.Connect(ts.Getenv("NATS_URL"), nats.CustomInboxPrefix("turnstile.confirm.test"))
	ts.Check(err)
	defer nc.Close()
	ctx, cancel := testContext()
	defer cancel()
	answer, err := nc.RequestMsgWithContext(ctx, m)
	judge(ts, neg, "request", err)
	if answer != nil {
		fmt.Fprintln(ts.Stdout(), string(answer.Data))
	}
}

func messages(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 0, "messages")
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ts.Check(err)
	ctx, cancel := testContext()
	defer cancel()
	stream, err := js.Stream(ctx, "MTA")
	ts.Check(err)
	state := stream.CachedInfo().State
	fmt.Fprint(ts.Stdout())
	for seq := state.FirstSeq; state.Msgs > 0 && seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s %s %s\n%s", m.Subject, m.Header.Get("Turnstile-Source"), m.Header.Get("Turnstile-Line"), m.Data)
	}
}
