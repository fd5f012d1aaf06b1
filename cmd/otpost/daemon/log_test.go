package daemon

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestOneIDFromRequestToModem follows the id of a request through the log: the request's own line, the message's way through the
// queue, the hand-over to the modem, and how it ended; and the message's record keeps it.
func TestOneIDFromRequestToModem(t *testing.T) {
	t.Parallel()
	in := start(t, t.TempDir(), oneModem)
	in.enable("log-1", canaryPhone, "739154")
	for _, tc := range []struct {
		name, header, id, path, body string
		phone                        string
		want                         []string // of the lines with the id, as "message status outcome"
	}{
		{"a text", "X-Request-Id: shop.4711-text", "shop.4711-text", "/v1/messages", `{"to":"+447700900111","text":"hello"}`, "+447700900111",
			[]string{"request 202 ", "message queued ", "message sending ", "part  accepted", "message delivered "}},
		{"a code", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736", "/v1/challenges",
			`{"account":"log-1","purpose":"login"}`, canaryPhone,
			[]string{"request 202 ", "message queued ", "message sending ", "part  accepted", "message delivered "}},
		{"one that is refused", "X-Request-Id: shop.4712-text", "shop.4712-text", "/v1/messages", `{"to":"+447700999001","text":"hello"}`, "",
			[]string{"request 202 ", "message queued ", "message sending ", "part  refused", "message failed "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", in.base+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			name, value, _ := strings.Cut(tc.header, ": ")
			req.Header.Set(name, value)
			req.Header.Set("Authorization", "Bearer "+in.token)
			req.Header.Set("Content-Type", "application/json")
			resp, err := in.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("X-Request-Id"); got != tc.id {
				t.Errorf("the answer has id %q, want %q", got, tc.id)
			}
			for _, want := range tc.want {
				in.awaitLine(t, tc.id, want)
			}
		})
	}
}

// awaitLine waits until the log has a line with the id that says what is wanted.
func (in *instance) awaitLine(t *testing.T, id, want string) {
	t.Helper()
	var seen []string
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		seen = nil
		for line := range strings.Lines(in.log.String()) {
			if !strings.Contains(line, id) {
				continue
			}
			var l struct {
				Msg       string
				Status    any
				Outcome   string
				Modem     string
				RequestID string `json:"request_id"`
				MessageID string `json:"message_id"`
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.RequestID != id {
				t.Fatalf("line %s: %v; want request_id %s", line, err, id)
			}
			status, _ := l.Status.(string)
			if l.Msg == "request" {
				status = "202"
			} else if l.MessageID == "" || l.Modem == "" && l.Msg == "part" {
				t.Errorf("line names no message, or no modem: %s", line)
			}
			got := l.Msg + " " + status + " " + l.Outcome
			if got == want {
				return
			}
			seen = append(seen, got)
		}
	}
	t.Errorf("id %s: no line %q, only %q", id, want, seen)
}
