package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// requestTimeout is longer than any call of the story takes.
const requestTimeout = 10 * time.Second

// request posts body as a portal's backend would, and returns the status and the problem's code if it is one.
func (s *Story) request(ctx context.Context, method, path string, body fields, answer any) (int, string, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Base+path, bytes.NewReader(b))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	var problem struct{ Code string }
	if resp.StatusCode >= 400 {
		answer = &problem
	}
	if answer != nil {
		if err := json.Unmarshal(b, answer); err != nil {
			return 0, "", fmt.Errorf("the answer to %s %s is no JSON: %w", method, path, err)
		}
	}
	return resp.StatusCode, problem.Code, nil
}
