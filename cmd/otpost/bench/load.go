package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// measure lets clients call f again and again for about as long as window, and returns the rate.
func measure(ctx context.Context, what string, clients int, window time.Duration, f func(ctx context.Context, client int) error) (Rate, error) {
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	began := time.Now()
	end := began.Add(window)
	var g sync.WaitGroup
	for c := range clients {
		g.Go(func() {
			for at := time.Now(); at.Before(end) && ctx.Err() == nil && errs[c] == nil; {
				errs[c] = f(ctx, c)
				next := time.Now()
				took[c] = append(took[c], next.Sub(at))
				at = next
			}
		})
	}
	g.Wait()
	wall := time.Since(began)
	for _, err := range append(errs, ctx.Err()) {
		if err != nil {
			return Rate{}, fmt.Errorf("%s with %d clients: %w", what, clients, err)
		}
	}
	all := slices.Concat(took...)
	return Rate{What: what, Clients: clients, PerSecond: float64(len(all)) / wall.Seconds(), Took: spread(all)}, nil
}

// spread sorts took and reads its percentiles off.
func spread(took []time.Duration) Spread {
	if len(took) == 0 {
		return Spread{}
	}
	slices.Sort(took)
	at := func(p int) float64 {
		return float64(took[min(len(took)-1, len(took)*p/100)].Microseconds()) / 1000
	}
	return Spread{P50: at(50), P95: at(95), P99: at(99), N: len(took)}
}

// caller makes requests to one server over kept connections.
type caller struct {
	base, token string
	http        *http.Client
}

func newCaller(base, token string) *caller {
	return &caller{base, token, &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

type body map[string]any

// call makes a request that must be answered with a status below 300, and decodes the answer into out.
func (c *caller) call(ctx context.Context, method, path string, in, out any) error {
	var r io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}
