package natsd

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// apiSubjects are all requests of the JetStream API, about the stream and a
// consumer of turnstile, and what else the server itself answers to.
func apiSubjects() []string {
	patterns := []string{
		server.JSApiAccountInfo, server.JSApiStreamCreate, server.JSApiStreamUpdate, server.JSApiStreams, server.JSApiStreamList,
		server.JSApiStreamInfo, server.JSApiStreamDelete, server.JSApiStreamPurge, server.JSApiStreamSnapshot, server.JSApiStreamRestore,
		server.JSApiMsgDelete, server.JSApiMsgGet, server.JSDirectMsgGet, server.JSDirectGetLastBySubject,
		server.JSApiConsumerCreate, server.JSApiConsumerCreateEx, server.JSApiDurableCreate, server.JSApiConsumers, server.JSApiConsumerList,
		server.JSApiConsumerInfo, server.JSApiConsumerDelete, server.JSApiConsumerPause, server.JSApiConsumerUnpin,
		server.JSApiStreamRemovePeer, server.JSApiStreamEvacuatePeer, server.JSApiStreamCancelMove, server.JSApiStreamLeaderStepDown,
		server.JSApiConsumerLeaderStepDown, server.JSApiConsumerRemovePeer, server.JSApiConsumerEvacuatePeer,
		server.JSApiLeaderStepDown, server.JSApiRemoveServer, server.JSApiEvacuateServer, server.JSApiMetaRescue, server.JSApiAccountPurge,
		server.JSApiServerStreamMove, server.JSApiServerStreamCancelMove,
		"$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.CONSUMER.RESET.*.*",
		"$JS.ACK.MTA.writer-1.1.1.1.1.0", "$JS.FC.MTA.writer-1.x", "$JS.SNAPSHOT.ACK.MTA.x", "$JS.SNAPSHOT.RESTORE.MTA.x",
		"$JS.EVENT.ADVISORY.API", "$NRG.V.x", "$JSC.R.x", "$KV.x.y", "$MQTT.sess.x",
		"$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.DELETE",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.X.RELOAD", "$SYS.REQ.SERVER.X.KICK", "$SYS.REQ.SERVER.X.LDM",
		"$SYS.ACCOUNT.X.CONNECT",
	}
	var subjects []string
	for _, p := range patterns {
		tokens := strings.Split(strings.ReplaceAll(p, ">", "writer-1"), ".")
		stars := 0
		for i, t := range tokens {
			if t == "*" {
				tokens[i] = []string{"MTA", "writer-1"}[stars]
				stars++
			}
		}
		subjects = append(subjects, strings.Join(tokens, "."))
	}
	return subjects
}

// may has the subjects of apiSubjects that a role may publish to, and no others.
var may = map[string][]string{
	"producer": {"$JS.API.STREAM.INFO.MTA"},
	"page":     {"$JS.API.STREAM.INFO.MTA"},
	"consumer": {
		"$JS.API.STREAM.INFO.MTA", "$JS.API.STREAM.PURGE.MTA", "$JS.API.CONSUMER.NAMES.MTA", "$JS.API.CONSUMER.INFO.MTA.writer-1",
		"$JS.API.CONSUMER.CREATE.MTA.writer-1", "$JS.API.CONSUMER.DELETE.MTA.writer-1", "$JS.API.CONSUMER.MSG.NEXT.MTA.writer-1",
		"$JS.ACK.MTA.writer-1.1.1.1.1.0",
	},
	"monitor": {"$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ"},
}

// TestEveryRoleOnEverySubject tries every credential on every subject of the API, as a
// publisher, and as the reply subject of a row.
func TestEveryRoleOnEverySubject(t *testing.T) {
	dir := credentials(t)
	s := startServer(t, func(c *Config) { c.Auth = filepath.Join(dir, "broker") })
	own, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	js := must(jetstream.New(own))(t)
	queue := must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MTA", Subjects: []string{"mta.ridership.>"}}))(t)
	must(js.CreateConsumer(t.Context(), "MTA", jetstream.ConsumerConfig{Durable: "writer-1", AckPolicy: jetstream.AckExplicitPolicy}))(t)
	must(js.Publish(t.Context(), "mta.ridership.a", []byte("row")))(t)

	subjects := apiSubjects()
	for _, role := range Roles() {
		if role == clusterRole || role == "admin" {
			continue // not for clients; may do all
		}
		refused := make(chan error, len(subjects))
		nc, err := dial(s, nats.UserInfo(role, password(t, dir, role)),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		for _, subject := range subjects {
			// As a reply subject: a row is stored or refused, and nothing else happens.
			if err := errors.Join(nc.PublishRequest("mta.ridership.a", subject, []byte("x")), nc.FlushTimeout(patience)); err != nil {
				t.Fatal(err)
			}
			drain(refused)
			if slices.Contains(may[role], subject) {
				continue // tried by the commands themselves
			}
			if err := errors.Join(nc.PublishRequest(subject, "_INBOX_"+role+".x", []byte("{}")), nc.FlushTimeout(patience)); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-refused:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("%s at %s: %v", role, subject, err)
				}
			case <-time.After(patience):
				t.Errorf("%s may publish to %s", role, subject)
			}
		}
	}
	// The producer alone may publish rows: one with each reply subject but $JS.ACK,
	// which the server refuses, after the first one. The stream stores them later than
	// the server receives them.
	want := uint64(len(subjects))
	info := must(queue.Info(t.Context()))(t)
	for late := time.Now().Add(patience); info.State.Msgs < want && time.Now().Before(late); info = must(queue.Info(t.Context()))(t) {
		time.Sleep(10 * time.Millisecond)
	}
	if info.State.FirstSeq != 1 || info.State.Msgs != want || len(info.Config.Subjects) != 1 {
		t.Errorf("the stream has changed: %+v, want %d messages", info.State, want)
	}
	if c := must(queue.Consumer(t.Context(), "writer-1"))(t).CachedInfo(); c.AckFloor.Stream != 0 || c.Delivered.Stream != 0 {
		t.Errorf("messages were delivered or acknowledged: %+v", c)
	}
	for role, allowed := range may {
		for _, subject := range allowed {
			if !isAllowed(t, s, dir, role, "publish", subject) {
				t.Errorf("%s may not publish to %s", role, subject)
			}
			if !slices.Contains(subjects, subject) {
				t.Errorf("%s is not among the subjects that were tried", subject)
			}
		}
	}
}

func drain(c <-chan error) {
	for {
		select {
		case <-c:
		case <-time.After(time.Millisecond):
			return
		}
	}
}
