package natsd

// Why a server can't start, and what to do about it.

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"
)

// ErrInsecure is returned for an address beyond loopback: the server knows no
// passwords, so whoever reaches it may read, write and delete everything.
var ErrInsecure error = insecure{}

type insecure struct{}

func (insecure) Error() string { return "will not listen beyond this machine without credentials" }

func (insecure) Hint() string {
	return "listen on 127.0.0.1, or ask for passwords (broker credentials, then --auth); --insecure if all who can reach the address may do anything"
}

// A ListenError says why an address can't be listened on.
type ListenError struct {
	Address string
	Err     error
}

func (e *ListenError) Error() string { return fmt.Sprintf("natsd: listen on %s: %v", e.Address, e.Err) }

func (e *ListenError) Unwrap() error { return e.Err }

// Hint is what to type.
func (e *ListenError) Hint() string {
	switch {
	case taken(e.Err):
		return "is a broker running already? take another address with --listen and --monitor"
	case errors.Is(e.Err, syscall.EACCES):
		return "a port above 1023 needs no rights"
	}
	return "an address is host:port, such as 127.0.0.1:4222"
}

// taken says whether another has the address. Go does not translate what
// Windows says of that.
func taken(err error) bool {
	const wsaAddrInUse = 10048
	number, ok := errors.AsType[syscall.Errno](err)
	return errors.Is(err, syscall.EADDRINUSE) || ok && runtime.GOOS == "windows" && number == wsaAddrInUse
}

// ErrStoreInUse is in a [StoreError] when another server has the store.
var ErrStoreInUse = errors.New("another broker is using it")

// A StoreError says why a store can't be used.
type StoreError struct {
	Store string
	Err   error
}

func (e *StoreError) Error() string { return fmt.Sprintf("natsd: store %s: %v", e.Store, e.Err) }

func (e *StoreError) Unwrap() error { return e.Err }

// Hint is what to type.
func (e *StoreError) Hint() string {
	if errors.Is(e.Err, ErrStoreInUse) {
		return "stop the other broker, or take another folder with --store"
	}
	return "take a folder that may be written with --store"
}

// A FileError says what is wrong with a configuration file, and where.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("natsd: configuration %s: %v", e.File, e.Err) }

func (e *FileError) Unwrap() error { return e.Err }

// Hint is where to read.
func (e *FileError) Hint() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return ""
	}
	return "it is a file of nats-server: https://docs.nats.io/running-a-nats-service/configuration"
}

// An AuthError says why the passwords can't be used.
type AuthError struct {
	Dir  string
	Err  error
	hint string
}

func (e *AuthError) Error() string { return fmt.Sprintf("natsd: passwords in %s: %v", e.Dir, e.Err) }

func (e *AuthError) Unwrap() error { return e.Err }

// Hint is what to type.
func (e *AuthError) Hint() string { return e.hint }

// A TLSError says why the certificate can't be used.
type TLSError struct {
	Err  error
	hint string
}

func (e *TLSError) Error() string { return fmt.Sprintf("natsd: TLS: %v", e.Err) }

func (e *TLSError) Unwrap() error { return e.Err }

// Hint is what to type.
func (e *TLSError) Hint() string { return e.hint }
