package ingest

// A database that is locked or a disk that is full stops no consumer: the
// batch is in hand, the queue still has it, and so it waits.

import (
	"context"
	"time"

	"turnstile/internal/mta"
)

// retryEvery is the pause between two attempts. The store has waited its own
// busy timeout before it gives up, so this need not be long.
const retryEvery = 250 * time.Millisecond

// persist writes a batch, again and again while the trouble is one that
// passes. It says so once, and once when it is over.
func persist(ctx context.Context, b *mta.Batch, store Store, o Options) ([]mta.Outcome, error) {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		outcomes, err := store.Write(ctx, b)
		switch {
		case err == nil:
			if attempt > 1 {
				o.Log.Info("storing again", "after", time.Since(start).Round(time.Millisecond), "attempts", attempt)
			}
			return outcomes, nil
		case ctx.Err() != nil || o.Retry == nil || !o.Retry(err):
			return nil, err
		case attempt == 1:
			o.Log.Warn("can't store, waiting", "error", err)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return nil, err
		}
	}
}
