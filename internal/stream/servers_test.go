package stream

import "testing"

// An address that can't be a broker's is refused, not waited for.
func TestCheckServers(t *testing.T) {
	for list, ok := range map[string]bool{
		"nats://127.0.0.1:4222": true, "127.0.0.1:4222": true, "tls://a:1,nats://b:2": true, "nats://u:p@a": true,
		"": false, "nats://": false, "http://a:4222": false, "nats://a,foo://b": false, "nats://a,": false,
	} {
		if err := checkServers(list); (err == nil) != ok {
			t.Errorf("%q: %v", list, err)
		}
	}
}
