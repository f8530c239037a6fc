package cli

// Hints for the errors that several commands share: errors of the connection to the
// broker and of input files.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// ServerHint returns the hint for an error of a connection to the broker, or
// "". It names the flags and variables of [Flags.ServerFlags].
func ServerHint(err error) string {
	switch e := err.(type) {
	case *stream.ServerError:
		return "use an address such as --server nats://127.0.0.1:4222 or --server tls://queue.example:4222"
	case *stream.PasswordError:
		return "set NATS_USER to the role, and NATS_PASSWORD_FILE to the file with its password"
	case *stream.LoginError:
		if e.User == "" {
			return "set NATS_USER and NATS_PASSWORD_FILE, or NATS_CREDS"
		}
		return "set NATS_PASSWORD_FILE to the file with the password of that user; broker credentials DIR creates one for each role"
	case *stream.TLSError:
		return tlsHints[e.Problem]
	case *stream.RightsError:
		return "log in as a user with that role: set NATS_USER=" + e.Role + " and NATS_PASSWORD_FILE"
	case *stream.SettingError:
		return "if another program owns the stream, use another server; else delete it (nats stream rm " + stream.Name + ") and run broker init"
	}
	return ""
}

var tlsHints = map[stream.TLSProblem]string{
	stream.BadClientCertificate:     "set --tls-cert to a certificate and --tls-key to its private key, both PEM files",
	stream.BadAuthority:             "set --tls-ca (NATS_CA) to a PEM file with a certificate: the broker's own, or that of the authority that signed it",
	stream.ClientRejected:           "the broker may require a client certificate signed by its --tls-ca: set --tls-cert and --tls-key (NATS_CERT, NATS_KEY)",
	stream.NoServerTLS:              "omit --tls-ca and --tls-cert (NATS_CA, NATS_CERT) and use nats://; or start the broker with --tls-cert and --tls-key",
	stream.NotTLS:                   "the server at this address does not use TLS: use another --server, or nats:// instead of tls://",
	stream.UnknownServerAuthority:   "set --tls-ca FILE (NATS_CA) to the certificate of the authority that signed the broker's certificate",
	stream.WrongServerName:          "use a host name from the broker's certificate in --server, or issue a certificate for this host name",
	stream.InvalidServerCertificate: "start the broker with another certificate: --tls-cert and --tls-key",
}

// FileHint returns the hint for an error of a CSV file, or "". It names the
// flags --source, --columns and --delimiter of the commands that read files.
func FileHint(err error) string {
	switch e := err.(type) {
	case *mta.ColumnsError:
		if len(e.Duplicate) > 0 {
			return "rename the duplicate columns in the header"
		}
		if len(e.Found) > 0 && strings.HasPrefix(strings.ToLower(e.Found[0]), "sep=") {
			return "remove line 1, which is for Excel: the first line must be the header"
		}
		if found, want, ok := e.Misspelt(); ok {
			return fmt.Sprintf("did you mean %s? Rename the column %q in the header", want, found)
		}
		if e.NoHeader() {
			return "line 1 looks like a row, not a header: name the columns in order with " + columnsExample
		}
		if e.OtherDelimiter() {
			return "check the character between the fields: --delimiter ';' or tab; without the flag it is a comma, or detected where the header has none"
		}
		return "for a file without a header, name the columns in order with " + columnsExample
	case *fs.PathError:
		if errors.Is(e, fs.ErrNotExist) {
			return "check the path; this command looks in the folder that it was started in"
		}
	case *mta.FileError:
		switch e.Kind {
		case mta.BadSource:
			return "name the data set with --source NAME"
		case mta.IsFolder:
			return "name the CSV files in this directory"
		case mta.IsEmpty:
			return "the file must have a header, then rows"
		case mta.IsUTF16:
			return fmt.Sprintf("convert it: iconv -f UTF-16 -t UTF-8 %s >utf8.csv", e.Path)
		case mta.IsHTML:
			return "the download has failed, or needs another address: look at the file, and at data/README.md"
		case mta.IsBinary:
			return "name a CSV file"
		case mta.IsDamaged:
			return "copy or download the file again; what was read of it is not stored twice"
		case mta.IsWorkbook:
			return "open it in the program that wrote it, and export it as CSV"
		case mta.IsArchive:
			return "unpack the file"
		}
	}
	return ""
}

// isDenied reports whether the cause of err is a file that this process may not use.
func isDenied(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	return path && errors.Is(err, fs.ErrPermission)
}

// accessHint names the user of this process, and the file, or the folder that is to
// get the file.
func accessHint(e *fs.PathError) []string {
	if os.Getuid() < 0 { // Windows
		return nil
	}
	what := "it"
	if _, err := os.Lstat(e.Path); errors.Is(err, fs.ErrNotExist) {
		if folder, err := filepath.Abs(filepath.Dir(e.Path)); err == nil {
			what = "the folder " + folder
		}
	}
	return []string{fmt.Sprintf("give the user that this process runs as (uid %d) access to %s", os.Getuid(), what)}
}

const columnsExample = "--columns transit_timestamp,station_complex_id,ridership,..."
