package natsd

// Health check over HTTP, for containers without a shell.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// CheckHealth returns an error unless the server with this monitoring address is
// healthy. The check includes JetStream and the stream, not only the connection.
func CheckHealth(ctx context.Context, monitor string) (err error) {
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
