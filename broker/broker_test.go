package main

import (
	"testing"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
)

func TestClientCommand(t *testing.T) {
	const url = "nats://" + defaultListen
	start := cli.Invocation("producer")
	for _, c := range []struct {
		url    string
		config natsd.Config
		want   string
	}{
		{url, natsd.Config{}, start},
		{"nats://127.0.0.1:5000", natsd.Config{}, start + " --server nats://127.0.0.1:5000"},
		{
			"tls://127.0.0.1:4222",
			natsd.Config{Auth: "s/broker", TLS: natsd.TLS{Cert: "c", Key: "k"}},
			"NATS_USER=producer NATS_PASSWORD_FILE=s/producer/password " + start + " --server tls://127.0.0.1:4222 --tls-ca FILE",
		},
		{
			"tls://127.0.0.1:4222",
			natsd.Config{TLS: natsd.TLS{Cert: "c", Key: "k", CA: "a"}},
			start + " --server tls://127.0.0.1:4222 --tls-ca FILE --tls-cert FILE --tls-key FILE",
		},
	} {
		if got := clientCommand("producer", c.url, c.config); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
