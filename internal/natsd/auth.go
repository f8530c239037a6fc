package natsd

// Authentication and permissions. Each role has the permissions its work needs,
// and no others.

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

// clusterRole is the user name of brokers that connect to each other.
const clusterRole = "cluster"

// systemAccount is the name of the NATS system account. Its users can monitor the
// server but can't read rows.
const systemAccount = "SYS"

// permissions maps each role to its permissions. The user name is the role. A
// denied call gets no answer: the client reports the violation asynchronously.
var permissions = map[string]*server.Permissions{
	"producer": {
		Publish: allow("mta.ridership.>", "mta.now.>", "$JS.API.STREAM.INFO.MTA", "turnstile.summary.producer"),
		// Not _INBOX.>: that would include the replies to all other clients.
		Subscribe: allow("_INBOX_producer.>", "turnstile.confirm.>", "turnstile.summary.viewer"),
	},
	"consumer": {
		Publish: allow("$JS.API.STREAM.INFO.MTA", "$JS.API.STREAM.PURGE.MTA",
			// Each takeover creates a consumer with a new name: writer-1, writer-2.
			"$JS.API.CONSUMER.NAMES.MTA", "$JS.API.CONSUMER.INFO.MTA.*", "$JS.API.CONSUMER.CREATE.MTA.*",
			"$JS.API.CONSUMER.DELETE.MTA.*", "$JS.API.CONSUMER.MSG.NEXT.MTA.*",
			"$JS.ACK.MTA.*.>", "turnstile.confirm.>", "turnstile.writer.*",
			"_INBOX.>", // answers to requests of the nats CLI
			"turnstile.summary.writer", "turnstile.summary.standby"),
		// turnstile.writer: a starting consumer asks whether a writer is still alive.
		Subscribe: allow("_INBOX_consumer.>", "mta.now.>", "turnstile.writer.*", "turnstile.confirm.>",
			"turnstile.summary.viewer"),
	},
	// page shows the stream: it hears summaries and the size of the queue, and no row.
	"page": {
		Publish:   allow("$JS.API.STREAM.INFO.MTA", "turnstile.summary.viewer"),
		Subscribe: allow("_INBOX_page.>", "turnstile.summary.*"),
	},
	// monitor has the read-only requests of the system account.
	"monitor": {
		Publish: allow("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.*",
			"$SYS.REQ.SERVER.*.STATSZ", "$SYS.REQ.SERVER.*.VARZ", "$SYS.REQ.SERVER.*.CONNZ", "$SYS.REQ.SERVER.*.SUBSZ",
			"$SYS.REQ.SERVER.*.ROUTEZ", "$SYS.REQ.SERVER.*.ACCOUNTZ", "$SYS.REQ.SERVER.*.JSZ", "$SYS.REQ.SERVER.*.HEALTHZ",
			"$SYS.REQ.ACCOUNT.*.CONNZ", "$SYS.REQ.ACCOUNT.*.SUBSZ", "$SYS.REQ.ACCOUNT.*.INFO", "$SYS.REQ.ACCOUNT.*.JSZ"),
		Subscribe: allow("_INBOX.>", "_INBOX_monitor.>", "$SYS.SERVER.>", "$SYS.ACCOUNT.>"),
	},
	// admin creates, changes and repairs the queue, with all permissions.
	"admin": nil,
}

// allow returns a permission for subjects, and for no others.
func allow(subjects ...string) *server.SubjectPermission {
	return &server.SubjectPermission{Allow: subjects}
}

// Roles returns all roles: those of clients, sorted, then that of brokers in a
// cluster.
func Roles() []string {
	return append(slices.Sorted(maps.Keys(permissions)), clusterRole)
}

// auth sets the users of the server, and the login of in-process connections.
func (c Config) auth(s *setup) error {
	s.login = func(*nats.Options) error { return nil }
	s.noFileUsers = len(s.Users)+len(s.Nkeys)+len(s.Accounts)+len(s.TrustedOperators) == 0 &&
		s.Username == "" && s.Authorization == "" && s.AuthCallout == nil
	switch {
	case c.Auth == "":
		return nil
	case !s.noFileUsers:
		return &AuthError{c.Auth, UsersInFile, fmt.Errorf("%s also defines users", c.File)}
	}
	secrets, err := readSecrets(c.Auth)
	if err != nil {
		return err
	}
	// Without this block, a server with only the default and the system account
	// accepts clients without a user name. Options has no field for it.
	if err := s.ProcessConfigString("authorization { timeout: 5 }"); err != nil {
		return fmt.Errorf("natsd: %w", err)
	}
	system := server.NewAccount(systemAccount)
	s.Accounts, s.SystemAccount = append(s.Accounts, system), systemAccount
	for role, secret := range secrets {
		if role == clusterRole {
			setClusterPassword(s.Options, secret)
			continue
		}
		u := &server.User{Username: role, Password: secret, Permissions: permissions[role]}
		if role == "monitor" {
			u.Account = system
		}
		s.Users = append(s.Users, u)
	}
	return addInProcessUser(s)
}

// addInProcessUser adds a user for in-process connections. Its password never
// leaves the process.
func addInProcessUser(s *setup) error {
	password := rand.Text()
	secret, err := hashPassword(password)
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

// setClusterPassword makes brokers of a cluster authenticate to each other. It
// keeps a password from the configuration file.
func setClusterPassword(o *server.Options, password string) {
	if o.Cluster.Port == 0 || o.Cluster.Username != "" {
		return
	}
	// The server also uses these for routes that it learns from other brokers.
	o.Cluster.Username, o.Cluster.Password = clusterRole, password
	for _, route := range o.Routes {
		if route.User == nil {
			route.User = url.UserPassword(clusterRole, password)
		}
	}
}

// readSecrets returns the bcrypt hash of each role's password. It hashes a
// password in plain text. The cluster password is returned in plain text, because
// brokers also send it.
func readSecrets(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &AuthError{dir, NoPasswords, err}
	}
	secrets := map[string]string{}
	for _, e := range entries {
		role := e.Name()
		if e.IsDir() || strings.HasPrefix(role, ".") {
			continue // Kubernetes adds dot files to the directory of a mounted secret
		}
		if !slices.Contains(Roles(), role) {
			return nil, &AuthError{dir, UnknownRole, fmt.Errorf("%s is not a role", role)}
		}
		if secrets[role], err = readSecret(filepath.Join(dir, role), role != clusterRole); err != nil {
			return nil, &AuthError{dir, BadPassword, err}
		}
	}
	if len(secrets) == 0 {
		return nil, &AuthError{dir, NoPasswords, errors.New("the directory has no password files")}
	}
	return secrets, nil
}

// readSecret reads one password file. With hashed, it returns a bcrypt hash.
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
	if secret, err = hashPassword(secret); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return secret, nil
}

// hashPassword returns a bcrypt hash of minimum cost. That is safe: a generated
// password has too much entropy to guess. The hash of a password that a user chose
// stays in memory, and its file holds the plain text anyway.
func hashPassword(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(h), err
}

// Generated passwords.

// WriteCredentials creates a random password for each role without one and
// returns those roles. The password of a role is in DIR/ROLE/password, so each can
// be mounted into one container. DIR/broker holds the hashes and the cluster
// password, for [Config].Auth.
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

// haveSecret reports whether password and hash exist and match. They do not if an
// earlier run was killed between writing the two files.
func haveSecret(dir, role string) (bool, error) {
	secret, err := os.ReadFile(brokerFile(dir, role))
	if role == clusterRole {
		return len(secret) > 0, ignoreNotExist(err)
	}
	password, err2 := os.ReadFile(clientFile(dir, role))
	if err := errors.Join(ignoreNotExist(err), ignoreNotExist(err2)); err != nil {
		return false, err
	}
	return bcrypt.CompareHashAndPassword(secret, password) == nil, nil
}

// ignoreNotExist returns err, or nil if a file does not exist.
func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// makeSecret creates the password of a role and its hash.
func makeSecret(dir, role string) error {
	password := rand.Text()
	if role == clusterRole {
		return writeSecret(brokerFile(dir, role), password)
	}
	secret, err := hashPassword(password)
	if err != nil {
		return err
	}
	if err := writeSecret(clientFile(dir, role), password); err != nil {
		return err
	}
	return writeSecret(brokerFile(dir, role), secret)
}

// writeSecret writes a file that only its owner can read. The file is complete or
// absent: the write is a rename.
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
