package natsd

// Who may log in, and what each may do: as much as its work needs.

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"
)

// clusterRole is who brokers are to each other.
const clusterRole = "cluster"

// systemAccount is NATS's own account. Its users see how the server does, and
// no row.
const systemAccount = "SYS"

// rights are what each role may do. A user name is a role's. What is not
// allowed meets silence: the client learns of it by an error beside the call.
var rights = map[string]*server.Permissions{
	"producer": {
		Publish: allow("mta.ridership.>", "mta.now.>", "$JS.API.STREAM.INFO.MTA"),
		// Not _INBOX.>, where all others hear their answers.
		Subscribe: allow("_INBOX_producer.>", "turnstile.confirm.>"),
	},
	"consumer": {
		Publish: allow("$JS.API.STREAM.INFO.MTA", "$JS.API.STREAM.PURGE.MTA",
			// Each takeover creates a consumer of another name: writer-1, writer-2.
			"$JS.API.CONSUMER.NAMES.MTA", "$JS.API.CONSUMER.INFO.MTA.*", "$JS.API.CONSUMER.CREATE.MTA.*",
			"$JS.API.CONSUMER.DELETE.MTA.*", "$JS.API.CONSUMER.MSG.NEXT.MTA.*",
			"$JS.ACK.MTA.*.>", "turnstile.confirm.>", "turnstile.writer.*"),
		// turnstile.writer: which process writes to a database, and its answer.
		Subscribe: allow("_INBOX_consumer.>", "mta.now.>", "turnstile.writer.*", "turnstile.confirm.>"),
	},
	// monitor looks and changes nothing: of the system's requests those that answer.
	"monitor": {
		Publish: allow("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.*",
			"$SYS.REQ.SERVER.*.STATSZ", "$SYS.REQ.SERVER.*.VARZ", "$SYS.REQ.SERVER.*.CONNZ", "$SYS.REQ.SERVER.*.SUBSZ",
			"$SYS.REQ.SERVER.*.ROUTEZ", "$SYS.REQ.SERVER.*.ACCOUNTZ", "$SYS.REQ.SERVER.*.JSZ", "$SYS.REQ.SERVER.*.HEALTHZ",
			"$SYS.REQ.ACCOUNT.*.CONNZ", "$SYS.REQ.ACCOUNT.*.SUBSZ", "$SYS.REQ.ACCOUNT.*.INFO", "$SYS.REQ.ACCOUNT.*.JSZ"),
		Subscribe: allow("_INBOX.>", "_INBOX_monitor.>", "$SYS.SERVER.>", "$SYS.ACCOUNT.>"),
	},
	// admin makes and mends the queue, and so may do anything to it.
	"admin": nil,
}

func allow(subjects ...string) *server.SubjectPermission {
	return &server.SubjectPermission{Allow: subjects}
}

// Roles are all there are: those of clients, and the brokers' own.
func Roles() []string {
	return append(slices.Sorted(maps.Keys(rights)), clusterRole)
}

// auth sets the users, and how this process itself gets in.
func (c Config) auth(s *setup) error {
	s.login = func(*nats.Options) error { return nil }
	s.ours = len(s.Users)+len(s.Nkeys)+len(s.Accounts)+len(s.TrustedOperators) == 0 &&
		s.Username == "" && s.Authorization == "" && s.AuthCallout == nil
	switch {
	case c.Auth == "":
		return nil
	case !s.ours:
		return &AuthError{c.Auth, UsersInFile, fmt.Errorf("%s has users of its own", c.File)}
	}
	secrets, err := readSecrets(c.Auth)
	if err != nil {
		return err
	}
	// Without such a block, a server with no account but its own and the
	// system's lets in anyone who gives no name. It can't be set otherwise.
	if err := s.ProcessConfigString("authorization { timeout: 5 }"); err != nil {
		return fmt.Errorf("natsd: %w", err)
	}
	system := server.NewAccount(systemAccount)
	s.Accounts, s.SystemAccount = append(s.Accounts, system), systemAccount
	for role, secret := range secrets {
		if role == clusterRole {
			join(s.Options, secret)
			continue
		}
		u := &server.User{Username: role, Password: secret, Permissions: rights[role]}
		if role == "monitor" {
			u.Account = system
		}
		s.Users = append(s.Users, u)
	}
	return ourselves(s)
}

// ourselves adds the user that this process is. Its password is never outside.
func ourselves(s *setup) error {
	password := rand.Text()
	secret, err := hash(password)
	if err != nil {
		return fmt.Errorf("natsd: %w", err)
	}
	s.Users = append(s.Users, &server.User{
		Username: "broker", Password: secret,
		AllowedConnectionTypes: map[string]struct{}{jwt.ConnectionTypeInProcess: {}},
	})
	s.login = nats.UserInfo("broker", password)
	return nil
}

// join has the brokers of a cluster ask each other for a password. One that
// the file has stays.
func join(o *server.Options, password string) {
	if o.Cluster.Port == 0 || o.Cluster.Username != "" {
		return
	}
	// What others of the cluster tell us to dial gets these by the server itself.
	o.Cluster.Username, o.Cluster.Password = clusterRole, password
	for _, route := range o.Routes {
		if route.User == nil {
			route.User = url.UserPassword(clusterRole, password)
		}
	}
}

// readSecrets reads what stands for each role's password: its bcrypt hash. A
// file may hold the password itself, but for the brokers' own is hashed here.
func readSecrets(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &AuthError{dir, NoPasswords, err}
	}
	secrets := map[string]string{}
	for _, e := range entries {
		role := e.Name()
		if e.IsDir() || strings.HasPrefix(role, ".") {
			continue // a mounted secret has links of such names beside it
		}
		if !slices.Contains(Roles(), role) {
			return nil, &AuthError{dir, UnknownRole, fmt.Errorf("%s is not a role", role)}
		}
		if secrets[role], err = readSecret(filepath.Join(dir, role), role != clusterRole); err != nil {
			return nil, &AuthError{dir, BadPassword, err}
		}
	}
	if len(secrets) == 0 {
		return nil, &AuthError{dir, NoPasswords, errors.New("it holds no passwords")}
	}
	return secrets, nil
}

func readSecret(file string, hashed bool) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	if _, err := bcrypt.Cost([]byte(secret)); err == nil || !hashed {
		return secret, nil
	}
	if secret, err = hash(secret); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return secret, nil
}

// hash is quick where others must be slow: a password that we made can't be
// guessed however quickly one tries, and the hash of one that the user made
// lives in this process only, beside the password itself.
func hash(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(h), err
}

// Passwords that no one has thought of, and no one gets to see.

// WriteCredentials makes a random password for each role that has none yet
// under a folder. Each stands in a folder of its own, DIR/ROLE/password, so
// that each can be handed to one process alone; DIR/broker is what a broker
// needs ([Config].Auth): hashes, and the password of the brokers themselves.
// It returns the roles that got one.
func WriteCredentials(dir string) (made []string, err error) {
	for _, role := range Roles() {
		ok, err := haveSecret(dir, role)
		if err == nil && !ok {
			made = append(made, role)
			err = makeSecret(dir, role)
		}
		if err != nil {
			return made, fmt.Errorf("natsd: password of %s: %w", role, err)
		}
	}
	return made, nil
}

func brokerFile(dir, role string) string { return filepath.Join(dir, "broker", role) }
func clientFile(dir, role string) string { return filepath.Join(dir, role, "password") }

// haveSecret says whether both halves are there and fit each other. We may
// have been killed between the two.
func haveSecret(dir, role string) (bool, error) {
	secret, err := os.ReadFile(brokerFile(dir, role))
	if role == clusterRole {
		return len(secret) > 0, notThere(err)
	}
	password, err2 := os.ReadFile(clientFile(dir, role))
	if err := errors.Join(notThere(err), notThere(err2)); err != nil {
		return false, err
	}
	return bcrypt.CompareHashAndPassword(secret, password) == nil, nil
}

func notThere(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func makeSecret(dir, role string) error {
	password := rand.Text()
	if role == clusterRole {
		return writeSecret(brokerFile(dir, role), password)
	}
	secret, err := hash(password)
	if err != nil {
		return err
	}
	if err := writeSecret(clientFile(dir, role), password); err != nil {
		return err
	}
	return writeSecret(brokerFile(dir, role), secret)
}

// writeSecret writes a file that its owner alone may read, whole or not at all.
func writeSecret(file, text string) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o400), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
