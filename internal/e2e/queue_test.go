package e2e

// The script commands that use the queue as any NATS client may.

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
)

// message returns the message that a script sends.
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

// judge fails the script if err is not what neg asks for.
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
	nc, js := connectQueue(ts)
	defer nc.Close()
	ctx, cancel := testContext()
	defer cancel()
	_, err := js.PublishMsg(ctx, m)
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

// connectQueue connects as any client may. The caller closes the connection.
func connectQueue(ts *testscript.TestScript) (*nats.Conn, jetstream.JetStream) {
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	// The broker drops messages if many wait for its disk.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(100), jetstream.WithPublishAsyncErrHandler(
		func(_ jetstream.JetStream, m *nats.Msg, err error) {
			fmt.Fprintln(os.Stderr, "e2e: publish", m.Header, err)
		}))
	ts.Check(err)
	return nc, js
}

func drained(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 0, "drained")
	nc, js := connectQueue(ts)
	defer nc.Close()
	poll(ts, 2*patience, "an empty stream", func() bool {
		ctx, cancel := testContext()
		defer cancel()
		stream, err := js.Stream(ctx, "MTA")
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
}

// oddShapes are headers and bodies that a client library may take for
// something else than a stored message.
var oddShapes = []nats.Msg{
	{Header: nats.Header{"Status": {"100"}}},
	{Header: nats.Header{"Status": {"404"}, "Description": {"No Messages"}}},
	{Header: nats.Header{"Status": {"408"}, "Description": {"Request Timeout"}}},
	{Header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}},
	{Header: nats.Header{"Status": {"409"}, "Description": {"Server Shutdown"}}},
	{Header: nats.Header{"Status": {"423"}}},
	{Header: nats.Header{"Status": {"503"}}},
	{Header: nats.Header{"Nats-Pending-Messages": {"-1"}, "Nats-Pending-Bytes": {"99999999999"}}},
	{Header: nats.Header{"Only": {"headers"}}},
	{Data: []byte("NATS/1.0 409 Consumer Deleted\r\n\r\n")},
	{Data: []byte("\xff\x06\x00\x00sNaPpY")},
	{},
}

func oddMessages(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 1, "oddmessages N")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	nc, js := connectQueue(ts)
	defer nc.Close()
	send := func(m nats.Msg) {
		_, err := js.PublishMsgAsync(&m, jetstream.WithStallWait(patience))
		ts.Check(err)
	}
	for i := range n {
		send(nats.Msg{Subject: "mta.ridership.odd_csv", Data: fmt.Appendf(nil, "02/01/2022 05:00:00 AM,445,%d\n", i), Header: nats.Header{
			"Turnstile-Source": {"odd.csv"}, "Turnstile-Line": {strconv.Itoa(2 + i)},
			"Turnstile-Columns": {"transit_timestamp,station_complex_id,ridership"},
		}})
		for _, shape := range oddShapes {
			send(nats.Msg{Subject: "mta.ridership.x", Header: shape.Header, Data: shape.Data})
		}
		if i%100 == 0 { // as large as a message may be
			send(nats.Msg{Subject: "mta.ridership.x", Data: bytes.Repeat([]byte{'x'}, 1<<20-200)})
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(2 * patience):
		ts.Fatalf("%d messages are not acknowledged", js.PublishAsyncPending())
	}
}

func messages(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 0, "messages")
	nc, js := connectQueue(ts)
	defer nc.Close()
	ctx, cancel := testContext()
	defer cancel()
	stream, err := js.Stream(ctx, "MTA")
	ts.Check(err)
	state := stream.CachedInfo().State
	fmt.Fprint(ts.Stdout()) // an empty stream replaces the output of the command before
	for seq := state.FirstSeq; state.Msgs > 0 && seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s %s %s\n%s", m.Subject, m.Header.Get("Turnstile-Source"), m.Header.Get("Turnstile-Line"), m.Data)
	}
}
