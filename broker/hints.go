package main

// Hints for the errors of the broker command.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

// hint returns a command or a setting that the user can type to resolve err, or "".
func hint(err error) string {
	switch e := err.(type) {
	case *url.Error:
		return "start the broker, or name its monitoring address: broker healthcheck --monitor HOST:PORT"
	case *natsd.ListenError:
		switch {
		case e.InUse():
			return "is a broker already running? use another port with --listen and --monitor; port 0 is any free one"
		case errors.Is(e.Err, syscall.EACCES):
			return "use a port above 1023: it needs no privileges"
		case errors.Is(e.Err, syscall.EADDRNOTAVAIL), isUnknownHost(e.Err):
			return "use an address of this machine, such as 127.0.0.1:4222"
		}
		return "use an address of the form host:port, such as 127.0.0.1:4222"
	case *natsd.StoreError:
		if errors.Is(e.Err, natsd.ErrStoreInUse) {
			return "stop the other broker, or use another directory with --store"
		}
		return "use a writable directory with --store"
	case *natsd.FileError:
		switch {
		case errors.Is(e.Err, natsd.ErrNotStrict):
			return "remove that setting from the file"
		case !errors.Is(e.Err, fs.ErrNotExist):
			return "the file must be a nats-server configuration: https://docs.nats.io/running-a-nats-service/configuration"
		}
	case *natsd.NoStreamError:
		return "create the stream: broker init --server URL"
	case *fullError:
		start := clientCommand("consumer", cmp.Or(e.url, "nats://"+defaultListen), natsd.Config{})
		empty := "start a consumer (" + start + "): what it has stored leaves the queue"
		switch {
		case e.disk:
			return "free space on the disk of --store; or " + empty
		case e.Clustered:
			return empty + "; or make the queue larger: broker init --max-bytes BYTES --replicas N"
		}
		return empty + "; or restart the broker with a larger --max-store"
	case *natsd.AuthError:
		return authHint(e)
	case *natsd.TLSError:
		if errors.Is(e.Err, natsd.ErrKeyPair) {
			return "give both: --tls-cert FILE --tls-key FILE"
		}
		return "the files must be PEM: --tls-cert and --tls-key belong together, --tls-ca signs the clients' certificates"
	case *stream.SizeError:
		store := uint64(float64(e.Holds)/streamShare)>>20 + 1
		return fmt.Sprintf("--max-store %dMiB or more (broker init: --max-bytes %dMiB), or run a consumer until the queue is small enough", store, e.Holds>>20+1)
	}
	if err == natsd.ErrInsecure {
		return "listen on 127.0.0.1, or require passwords (broker credentials, then --auth); --insecure gives every client full access"
	}
	return cli.ServerHint(err)
}

func isUnknownHost(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

func authHint(e *natsd.AuthError) string {
	switch e.Problem {
	case natsd.NoPasswords:
		return "create passwords: broker credentials DIR, then --auth DIR/broker"
	case natsd.UnknownRole:
		return "each file must be named after a role: " + strings.Join(natsd.Roles(), ", ")
	case natsd.BadPassword:
		return "each file must hold a password or its bcrypt hash"
	case natsd.UsersInFile:
		return "remove one of the two: --auth, or the users and accounts in the file"
	}
	return ""
}
