package stream

// The stream on a server that is not ours to start.

import (
	"context"
	"errors"
)

// Ensure makes the stream, or sets its size and replicas: see the function
// Ensure. A cluster that is coming up is waited for, until ctx ends.
func (c *Conn) Ensure(ctx context.Context, maxBytes int64, replicas int) error {
	for {
		err := Ensure(ctx, c.nc, maxBytes, replicas)
		if err == nil || ctx.Err() != nil || !comingUp(err) {
			return err
		}
		c.log.Debug("make the stream", "error", err)
		if pauseErr := c.pause(ctx, lookEvery); pauseErr != nil {
			return err // it says more than that the time is over
		}
	}
}

// comingUp says whether an error may be that of a cluster without a leader.
func comingUp(err error) bool {
	_, settings := errors.AsType[*SettingError](err)
	_, size := errors.AsType[*SizeError](err)
	_, rights := errors.AsType[*RightsError](err)
	return !settings && !size && !rights && passing(err)
}
