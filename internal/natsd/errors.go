package natsd

// Errors of a server that can't start, or that fails.

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
)

// ErrInsecure is returned for an address beyond loopback while the server requires
// no authentication: every client could read, write and delete everything.
var ErrInsecure = errors.New("refusing to listen beyond loopback without authentication")

// A ListenError reports that the server can't listen on an address.
type ListenError struct {
	Address string
	Err     error
}

func (e *ListenError) Error() string {
	cause := e.Err.Error()
	switch err := e.Err.(type) { // these name the address, too
	case *net.OpError:
		cause = err.Err.Error()
	case *net.AddrError:
		cause = err.Err
	}
	return fmt.Sprintf("listen on %s: %s", e.Address, cause)
}

func (e *ListenError) Unwrap() error { return e.Err }

// InUse reports whether another process listens on the address.
func (e *ListenError) InUse() bool {
	// Go does not translate the error number of Windows.
	const wsaAddrInUse = 10048
	number, ok := errors.AsType[syscall.Errno](e.Err)
	return errors.Is(e.Err, syscall.EADDRINUSE) || ok && runtime.GOOS == "windows" && number == wsaAddrInUse
}

// ErrStoreInUse is in a [StoreError] when another server uses the store.
var ErrStoreInUse = errors.New("another broker uses this store")

// A StoreError reports that a store can't be used.
type StoreError struct {
	Store string
	Err   error
}

func (e *StoreError) Error() string { return fmt.Sprintf("store %s: %v", e.Store, e.Err) }

func (e *StoreError) Unwrap() error { return e.Err }

// A FileError reports an error in a configuration file.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("configuration %s: %v", e.File, e.Err) }

func (e *FileError) Unwrap() error { return e.Err }

// ErrNotStrict is in a [FileError] when the file turns off strict JetStream
// requests. A producer could then purge the stream: it publishes a row whose reply
// subject is the purge request, and the server sends its acknowledgement there.
var ErrNotStrict = errors.New("jetstream { strict: false } lets every producer change the stream")

// An AuthError reports that the passwords in a directory can't be used.
type AuthError struct {
	Dir     string
	Problem AuthProblem
	Err     error
}

// An AuthProblem is the kind of an AuthError.
type AuthProblem int

// The problems of a directory of passwords.
const (
	NoPasswords AuthProblem = iota + 1 // the directory is absent, unreadable or empty
	UnknownRole                        // a file is not named after a role
	BadPassword                        // a file can't be read, or holds no valid password
	UsersInFile                        // the configuration file defines users too
)

func (e *AuthError) Error() string { return fmt.Sprintf("passwords in %s: %v", e.Dir, e.Err) }

func (e *AuthError) Unwrap() error { return e.Err }

// ErrKeyPair is in a [TLSError] when only one of certificate and key is given.
var ErrKeyPair = errors.New("the certificate needs its private key, and the key its certificate")

// A TLSError reports that the certificate can't be used.
type TLSError struct{ Err error }

func (e *TLSError) Error() string { return fmt.Sprintf("TLS: %v", e.Err) }

func (e *TLSError) Unwrap() error { return e.Err }
