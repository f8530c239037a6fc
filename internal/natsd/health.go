package natsd

// Is a server well? Asked over HTTP, for containers that have no shell.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Healthy asks the server whose monitor listens on an address. It asks for
// everything: a stream that can't be written is no healthy queue.
func Healthy(ctx context.Context, monitor string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("natsd: health of %s: %w", monitor, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("natsd: health of %s: %w", monitor, err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	var health struct{ Status, Error string }
	if err := json.NewDecoder(answer.Body).Decode(&health); err != nil {
		return fmt.Errorf("natsd: health of %s: %w", monitor, err)
	}
	if answer.StatusCode != http.StatusOK || health.Status != "ok" {
		return fmt.Errorf("natsd: health of %s: %s: %s %s", monitor, answer.Status, health.Status, health.Error)
	}
	return nil
}
