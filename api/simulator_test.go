package api

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"otpost/driver/sim"
)

// simulated is the simulator's API over a network with one modem, and a host that types AT commands to it.
type simulated struct {
	t       *testing.T
	network *sim.Network
	modem   *sim.Modem
	handler http.Handler
	port    net.Conn
}

func newSimulated(t *testing.T) *simulated {
	t.Helper()
	n := sim.NewNetwork(sim.NetworkConfig{})
	m, err := sim.New(sim.Config{Name: "sim0", Network: n, Number: "+999700000001", NoPTY: true})
	if err != nil {
		t.Fatal(err)
	}
	port, other := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, other) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return &simulated{t: t, network: n, modem: m, handler: NewSimulator(n, "test"), port: port}
}

// typed writes a line to the modem and reads until want.
func (s *simulated) typed(line, want string) {
	s.t.Helper()
	if _, err := io.WriteString(s.port, line); err != nil {
		s.t.Fatal(err)
	}
	var got strings.Builder
	for buf := make([]byte, 256); !strings.Contains(got.String(), want); {
		n, err := s.port.Read(buf)
		if err != nil {
			s.t.Fatalf("%q: %v after %q", line, err, got.String())
		}
		got.Write(buf[:n])
	}
}

// send sends a text in text mode.
func (s *simulated) send(to, text string) {
	s.t.Helper()
	s.typed("ATE0\r", "OK")
	s.typed("AT+CMGF=1\r", "OK")
	s.typed("AT+CMGS=\""+to+"\"\r", "> ")
	s.typed(text+"\x1a", "OK")
}

// call makes a request, checks the status and decodes the answer.
func (s *simulated) call(method, path, body string, status int, into any) {
	s.t.Helper()
	path = "http://127.0.0.1:8476" + path
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != status {
		s.t.Fatalf("%s %s: got %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
	}
}

func TestSimulatorMessages(t *testing.T) {
	s := newSimulated(t)
	start := time.Now()
	s.send("+447700900123", "Your code: 123 456. Valid 5 min.")
	s.send("+447700900124", "hello")

	var got SimulatedMessages
	s.call("GET", "/v1/simulator/messages?to=%2B447700900123", "", 200, &got)
	want := SimulatedMessages{Messages: []SimulatedMessage{{ID: 1, Modem: "sim0"}}}
	want.Messages[0].To, want.Messages[0].From = "+447700900123", "+999700000001"
	want.Messages[0].Text, want.Messages[0].Code, want.Messages[0].Parts = "Your code: 123 456. Valid 5 min.", "123456", 1
	ignore := cmpopts.IgnoreTypes(time.Time{})
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if at := got.Messages[0].ReceivedAt; at.Before(start) || at.After(time.Now()) {
		t.Errorf("received at %v", at)
	}
	for query, n := range map[string]int{
		"": 2, "?to=+447700900124": 1, "?after=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)): 0,
		"?after=" + url.QueryEscape(start.Format(time.RFC3339Nano)): 2, "?after_id=1": 1, "?limit=1": 1, "?to=%2B1": 0,
	} {
		var got SimulatedMessages
		s.call("GET", "/v1/simulator/messages"+query, "", 200, &got)
		if len(got.Messages) != n {
			t.Errorf("messages%s: got %d, want %d", query, len(got.Messages), n)
		}
	}
	var phones SimulatedPhones
	s.call("GET", "/v1/simulator/phones", "", 200, &phones)
	if diff := cmp.Diff([]sim.Phone{{Number: "+447700900124", Messages: 1}, {Number: "+447700900123", Messages: 1}}, phones.Phones, ignore); diff != "" {
		t.Errorf("phones (-want +got):\n%s", diff)
	}
	var gone Deleted
	s.call("DELETE", "/v1/simulator/messages?to=%2B447700900123", "", 200, &gone)
	if gone.Deleted != 1 || len(s.network.Messages(sim.Filter{})) != 1 {
		t.Errorf("deleted %d, left %d", gone.Deleted, len(s.network.Messages(sim.Filter{})))
	}
}

func TestSimulatorLongPoll(t *testing.T) {
	s := newSimulated(t)
	got := make(chan SimulatedMessages, 1)
	go func() {
		var m SimulatedMessages
		s.call("GET", "/v1/simulator/messages?to=%2B447700900123&wait=30s", "", 200, &m)
		got <- m
	}()
	s.send("+447700900999", "for another phone")
	s.send("+447700900123", "code 654321")
	select {
	case m := <-got:
		if len(m.Messages) != 1 || m.Messages[0].Code != "654321" {
			t.Errorf("got %+v", m)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the long poll does not end when the text comes")
	}
	var none SimulatedMessages
	s.call("GET", "/v1/simulator/messages?to=%2B447700900777&wait=10ms", "", 200, &none)
	if len(none.Messages) != 0 {
		t.Errorf("got %+v", none)
	}
}

func TestSimulatorLongPollEndsWhenTheServerDrains(t *testing.T) {
	drain, stop := context.WithCancel(context.Background())
	s := &simulator{network: sim.NewNetwork(sim.NetworkConfig{}), drain: drain}
	done := make(chan []sim.Message, 1)
	go func() { done <- s.wait(context.Background(), sim.Filter{}, time.Minute) }()
	stop()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on waiting")
	}
}

func TestSimulatorText(t *testing.T) {
	s := newSimulated(t)
	s.typed("ATE0\r", "OK")
	s.typed("AT+CNMI=2,1\r", "OK")
	s.call("POST", "/v1/simulator/texts", `{"from":"+447700900456","text":"STOP"}`, 204, nil)
	s.typed("", `+CMTI: "SM",1`)
	s.typed("AT+CMGF=1;+CMGR=1\r", "STOP")
	s.call("POST", "/v1/simulator/texts", `{"from":"+447700900456","to":"nobody","text":"STOP"}`, 404, nil)
	s.call("POST", "/v1/simulator/texts", `{"from":"+447700900456"}`, 400, nil)
	s.call("POST", "/v1/simulator/texts", `{"from":"+447700900456","text":"x","secret":1}`, 400, nil)
}

func TestSimulatorFaults(t *testing.T) {
	s := newSimulated(t)
	var f SimulatedFaultState
	s.call("PUT", "/v1/simulator/faults/carrier-down", `{"kind":"cms","cause":38,"sends":2,"to":"0123"}`, 200, &f)
	want := SimulatedFaultState{ID: "carrier-down", Active: true, Left: 2,
		SimulatedFault: SimulatedFault{Kind: "cms", At: "after-submit", Cause: 38, Sends: 2, To: "0123", Probability: 1}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("ordered (-want +got):\n%s", diff)
	}
	s.typed("ATE0\r", "OK")
	s.typed("AT+CMGF=1\r", "OK")
	s.typed("AT+CMGS=\"+447700900123\"\r", "> ")
	s.typed("hi\x1a", "+CMS ERROR: 38")
	var all SimulatedFaults
	s.call("GET", "/v1/simulator/faults", "", 200, &all)
	want.Hits, want.Left = 1, 1
	if diff := cmp.Diff([]SimulatedFaultState{want}, all.Faults); diff != "" {
		t.Errorf("after one send (-want +got):\n%s", diff)
	}
	s.call("DELETE", "/v1/simulator/faults/carrier-down", "", 204, nil)
	s.call("DELETE", "/v1/simulator/faults/carrier-down", "", 404, nil)
	s.call("POST", "/v1/simulator/faults", `{"kind":"lose"}`, 201, &f)
	s.call("DELETE", "/v1/simulator/faults", "", 204, nil)
	s.call("GET", "/v1/simulator/faults", "", 200, &all)
	if len(all.Faults) != 0 {
		t.Errorf("left: %+v", all.Faults)
	}
	for _, bad := range []string{
		`{"kind":"unknown"}`, `{}`, `{"kind":"silence","for":"long"}`, `{"kind":"cms","at":"now"}`, `{"kind":"lose","at":"now"}`,
		`{"kind":"cms","cause":0,"modem":"nobody"}`, `{"kind":"silence","typo":1}`, `{"kind":"cms","at":"before-prompt","to":"1"}`,
		`{"kind":"silence","for":"1.2.3s"}`, `{"kind":"cms","probability":2}`,
	} {
		s.call("POST", "/v1/simulator/faults", bad, 400, nil)
	}
}

func TestSimulatorModems(t *testing.T) {
	s := newSimulated(t)
	var m SimulatedModem
	s.call("PATCH", "/v1/simulator/modems/sim0", `{"credit":0,"signal":5,"registration":5}`, 200, &m)
	want := SimulatedModem{Name: "sim0", Personality: "generic", Number: "+999700000001", IMEI: s.modem.IMEI(), ICCID: s.modem.ICCID(),
		Plugged: true, Registration: 5, Signal: 5}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	s.typed("ATE0\r", "OK")
	s.typed("AT+CSQ;+CREG?\r", "+CSQ: 5,99\r\n\r\n+CREG: 0,5")
	s.call("PATCH", "/v1/simulator/modems/nobody", `{"credit":0}`, 404, nil)
	s.call("PATCH", "/v1/simulator/modems/sim0", `{"registration":4}`, 400, nil)
	var all SimulatedModems
	s.call("GET", "/v1/simulator/modems", "", 200, &all)
	if diff := cmp.Diff([]SimulatedModem{want}, all.Modems); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
}

func TestSimulatorRefusesOtherSitesAndUnknownCalls(t *testing.T) {
	s := newSimulated(t)
	r := httptest.NewRequest("DELETE", "http://127.0.0.1/v1/simulator/messages", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("from another site: got %d", w.Code)
	}
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8476": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "[::1]": 200, "evil.example": 403, "evil.example:80": 403,
		"192.0.2.1": 403, "": 403, "127.0.0.1.evil.example": 403,
	} {
		r := httptest.NewRequest("GET", "http://localhost/v1/simulator/phones", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: got %d, want %d", host, w.Code, want)
		}
	}
	s.call("GET", "/v1/simulator/nothing", "", 404, nil)
	s.call("POST", "/v1/simulator/phones", "{}", 405, nil)
	var doc struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	s.call("GET", "/openapi.json", "", 200, &doc)
	if doc.OpenAPI != "3.1.0" || doc.Paths["/v1/simulator/messages"]["get"] == nil {
		t.Errorf("document: version %s, paths %v", doc.OpenAPI, doc.Paths)
	}
}
