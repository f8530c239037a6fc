package cli

// Hints for errors that several commands share: those of the connection to the
// broker and of input files.

import (
	"fmt"

	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// ServerHint returns the hint for an error of a connection to the broker, or
// "". It names the flags and variables of [Flags.ServerFlags].
func ServerHint(err error) string {
	switch e := err.(type) {
	case *stream.ServerError:
		return "--server nats://127.0.0.1:4222, or tls://queue.example:4222"
	case *stream.LoginError:
		if e.User == "" {
			return "log in with NATS_USER and NATS_PASSWORD_FILE, or with NATS_CREDS"
		}
		return "NATS_PASSWORD_FILE names the file with the password of that user; broker credentials makes one for each role"
	case *stream.TLSError:
		return tlsHints[e.Problem]
	case *stream.RightsError:
		return "log in as a user with that role: NATS_USER=" + e.Role + " and its password, NATS_PASSWORD_FILE"
	case *stream.SettingError:
		return "if the stream belongs to another program, use another server; else delete it (nats stream rm " + stream.Name + ") and create it again: broker init"
	}
	return ""
}

var tlsHints = map[stream.TLSProblem]string{
	stream.BadClientCertificate:     "--tls-cert and --tls-key name a certificate and its private key, both PEM files",
	stream.ClientRejected:           "the broker may require a certificate signed by its --tls-ca: --tls-cert and --tls-key (NATS_CERT, NATS_KEY)",
	stream.NoServerTLS:              "leave out --tls-ca and --tls-cert (NATS_CA, NATS_CERT) and use nats://, not tls://; or start the broker with --tls-cert and --tls-key",
	stream.NotTLS:                   "the server at this address does not use TLS",
	stream.UnknownServerAuthority:   "--tls-ca FILE (NATS_CA) names the authority that signed the broker's certificate",
	stream.WrongServerName:          "the certificate is for other host names than the one in --server: use one of those, or sign a certificate for this one",
	stream.InvalidServerCertificate: "the broker needs another certificate: its --tls-cert and --tls-key",
}

// FileHint returns the hint for an error of a CSV file, or "". It names the
// flags --source, --columns and --delimiter of the commands that read files.
func FileHint(err error) string {
	switch e := err.(type) {
	case *mta.ColumnsError:
		if len(e.Duplicate) > 0 {
			return "rename the columns that occur twice, or the ones that are not meant"
		}
		if found, want, ok := e.Misspelt(); ok {
			return fmt.Sprintf("did you mean %s? Rename the column %q in the header", want, found)
		}
		if e.NoHeader() {
			return "line 1 looks like a row, not a header: name the columns in their order with " + columnsExample
		}
		if e.OtherDelimiter() {
			return "if the columns are not separated by commas, name the character: --delimiter ';' or --delimiter tab"
		}
		return "for a file without a header record, name its columns in their order: " + columnsExample
	case *mta.FileError:
		switch e.Kind {
		case mta.BadSource:
			return "give the data set a name with --source NAME"
		case mta.IsFolder:
			return "name the CSV files in it"
		case mta.IsEmpty:
			return "the file must have a header record, then rows"
		case mta.IsUTF16:
			return "convert it: iconv -f UTF-16 -t UTF-8 FILE"
		case mta.IsArchive:
			return "save it as CSV, or unpack it"
		}
	}
	return ""
}

const columnsExample = "--columns transit_timestamp,station_complex_id,ridership,..."
