package natsd

// Passwords that no one has thought of, and no one gets to see.

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/crypto/bcrypt"
)

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
