package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// TestFileHint checks that every rejected file has exactly one hint.
func TestFileHint(t *testing.T) {
	const header = "transit_timestamp,station_complex_id,ridership"
	for _, c := range []struct{ name, data, hint string }{
		{"empty.csv", "", "header"},
		{"headless.csv", "7/5/2022 13:00,10,subway\n", "line 1 looks like a row"},
		{"headless.csv", "7/5/2022,13:00,subway\n", "--columns"},
		{"lacking.csv", "transit_timestamp,ridership\n", "--columns"},
		{"twice.csv", header + ",Ridership\n", "rename"},
		{"long.csv", strings.Repeat("x", 100_000), "--columns"},
		{"misspelt.csv", "transit_timestmp,station_complex_id,ridership\n", "did you mean transit_timestamp? Rename the column \"transit_timestmp\""},
		{"excel.csv", "sep=;\ntransit_timestamp;station_complex_id;ridership\n", "remove line 1"},
		{"mixed.csv", "transit_timestamp;station_complex_id;ridership,transfers\n", "--delimiter"},
		{"utf16.csv", "\xff\xfet\x00r\x00", "iconv"},
		{"book.xlsx", "PK\x03\x04... xl/workbook.xml", "export it as CSV"},
		{"rides.zip", "PK\x03\x04...", "unpack"},
		{"rides.pdf", "%PDF-1.7\n", "name a CSV file"},
		{strings.Repeat("n", 201), header + "\n", "--source"},
		{mta.ReservedSource, header + "\n", "--source"},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := mta.OpenFile(t.Context(), path, nil, mta.FileOptions{})
		if got := hints(err, FileHint); len(got) != 1 || !strings.Contains(got[0], c.hint) {
			t.Errorf("%s: %v: hints %q, want %q", c.name, err, got, c.hint)
		}
	}
	_, err := mta.OpenFile(t.Context(), t.TempDir(), nil, mta.FileOptions{})
	if got := hints(err, FileHint); len(got) != 1 || !strings.Contains(got[0], "name the CSV files") {
		t.Errorf("a directory: %v: hints %q", err, got)
	}
}

func TestServerHint(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&stream.ServerError{}, "--server"},
		{&stream.LoginError{}, "NATS_USER"},
		{&stream.LoginError{User: "producer"}, "NATS_PASSWORD_FILE"},
		{&stream.RightsError{Role: "consumer"}, "NATS_USER=consumer"},
		{&stream.SettingError{}, "broker init"},
		{&stream.TLSError{Problem: stream.BadClientCertificate}, "--tls-key"},
		{&stream.TLSError{Problem: stream.BadAuthority}, "NATS_CA"},
		{&stream.TLSError{Problem: stream.ClientRejected}, "--tls-cert"},
		{&stream.TLSError{Problem: stream.NoServerTLS}, "nats://"},
		{&stream.TLSError{Problem: stream.NotTLS}, "TLS"},
		{&stream.TLSError{Problem: stream.UnknownServerAuthority}, "--tls-ca FILE"},
		{&stream.TLSError{Problem: stream.WrongServerName}, "--server"},
		{&stream.TLSError{Problem: stream.InvalidServerCertificate}, "another certificate"},
	} {
		if got := ServerHint(c.err); !strings.Contains(got, c.want) {
			t.Errorf("%T %+v: %q, want %q", c.err, c.err, got, c.want)
		}
	}
}

// A file that this process may not use has one hint, whatever it is for, and the hints
// of other errors stay.
func TestDeniedHint(t *testing.T) {
	if os.Getuid() < 0 {
		t.Skip("SKIPPED: Windows has no uid")
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	denied := &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	wrapped := errors.Join(fmt.Errorf("write: %w", denied), WithHint(errors.New("interrupted"), "resume"))
	for _, c := range []struct{ name, want string }{{"absent", "access to the folder " + filepath.Dir(path)}, {"there", "access to it"}} {
		got := hints(wrapped, func(err error) string {
			if strings.HasPrefix(err.Error(), "write") {
				return "use another"
			}
			return ""
		})
		if len(got) != 2 || !strings.HasSuffix(got[0], c.want) || !strings.Contains(got[0], fmt.Sprintf("(uid %d)", os.Getuid())) || got[1] != "resume" {
			t.Errorf("%s: %q", c.name, got)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQuoted(t *testing.T) {
	for s, want := range map[string]string{"a/b-1.csv": "a/b-1.csv", "": "''", "a b": "'a b'", "it's": `'it'\''s'`} {
		if got := ShellQuote(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}
