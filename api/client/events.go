package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"otpost/api/wire"
)

// Events calls f for each event after the one named after ("" for those from now on), until ctx is done (nil), f fails
// (its error) or the stream breaks (an error; go on after the last event seen). It is one goroutine's work: the caller's.
func (c *Client) Events(ctx context.Context, after string, f func(wire.Event) error) error {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	res, err := c.send(ctx, http.MethodGet, path("events"), q, nil)
	if err != nil {
		return quietly(ctx, err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e wire.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return quietly(ctx, fmt.Errorf("follow the events: %w", err))
	}
	return quietly(ctx, errors.New("the daemon ended the stream of events"))
}

// quietly makes an end that the caller asked for no error.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
