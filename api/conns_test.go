package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// dialFrom connects from an address of loopback.
func dialFrom(t testing.TB, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return must(d.Dial("tcp", to))
}

// whether a connection is still open, asked by a request on it.
func alive(c net.Conn) bool {
	if c.SetDeadline(time.Now().Add(5*time.Second)) != nil {
		return false
	}
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return false
	}
	return answered(c)
}

// answered reads the beginning of a good answer.
func answered(c net.Conn) bool {
	b := make([]byte, 12)
	_, err := io.ReadFull(c, b)
	return err == nil && string(b) == "HTTP/1.1 200"
}

// At the cap by source the idlest connection of that source goes; others are not touched.
func TestConnectionsBySource(t *testing.T) {
	k := newKit(t, func(c *Config) { c.Limits = Limits{PerPeer: 3} })
	address, _ := k.serve(t)
	neighbour := dialFrom(t, "127.0.0.2", address)
	defer neighbour.Close()
	var own []net.Conn
	for range 3 {
		c := dialFrom(t, "127.0.0.1", address)
		defer c.Close()
		if !alive(c) {
			t.Fatal("a connection below the cap does not work")
		}
		own = append(own, c)
	}
	if !drained(own[0]) || !alive(own[0]) { // used again: no longer the idlest
		t.Fatal("a connection does not work twice")
	}
	fourth := dialFrom(t, "127.0.0.1", address)
	defer fourth.Close()
	if !alive(fourth) {
		t.Error("the newest does not work")
	}
	if alive(own[1]) {
		t.Error("the idlest is still open")
	}
	if !alive(neighbour) {
		t.Error("a neighbour was cut")
	}
}

// Strangers push out each other, first those of the source that has most, and nobody who has shown a key.
func TestStrangersPushOutStrangers(t *testing.T) {
	k := newKit(t, func(c *Config) { c.Limits = Limits{Conns: 4} })
	address, _ := k.serve(t)
	caller := dialFrom(t, "127.0.0.9", address)
	defer caller.Close()
	letIn := func() bool {
		if caller.SetDeadline(time.Now().Add(30*time.Second)) != nil {
			return false
		}
		_, err := io.WriteString(caller, "GET /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+k.tokens[ScopeAdmin]+"\r\n\r\n")
		return err == nil && answered(caller)
	}
	if !letIn() || !drained(caller) {
		t.Fatal("a caller with a key is not let in")
	}
	single := dialFrom(t, "127.0.0.2", address)
	defer single.Close()
	if !alive(single) || !drained(single) {
		t.Fatal("a connection below the cap does not work")
	}
	for range 20 { // each is younger than the others
		c := dialFrom(t, "127.0.0.3", address)
		defer c.Close()
		if !alive(c) {
			t.Fatal("the newest does not work")
		}
	}
	if !alive(single) || !drained(single) {
		t.Error("a source with one connection lost it to one with many")
	}
	for i := range 20 {
		c := dialFrom(t, fmt.Sprintf("127.0.1.%d", i+1), address)
		defer c.Close()
		if !alive(c) {
			t.Fatal("the newest does not work")
		}
	}
	if !letIn() {
		t.Error("a caller with a key lost its connection to strangers")
	}
	fresh := dialFrom(t, "127.0.0.9", address)
	defer fresh.Close()
	for i := range 20 {
		c := dialFrom(t, fmt.Sprintf("127.0.2.%d", i+1), address)
		defer c.Close()
		if !alive(c) {
			t.Fatal("the newest does not work")
		}
	}
	if !alive(fresh) {
		t.Error("a second connection of the caller was lost to strangers before its first request")
	}
}

// At no instant are more connections counted than may be open: who goes has gone from the count when the newest comes into it.
func TestNeverMoreThanMayBe(t *testing.T) {
	for name, limits := range map[string]Limits{"total": {Conns: 3, PerPeer: 9}, "source": {Conns: 9, PerPeer: 3}} {
		l := newConns(addressed{}, limits, must(newMetrics(prometheus.NewRegistry(), "test")))
		open, most := 0.0, 0.0
		l.count = func(delta float64) { open += delta; most = max(most, open) }
		for range 10 {
			near, far := net.Pipe()
			defer near.Close()
			if c, ok := l.admit(far); ok {
				defer c.Close()
			}
		}
		if open != 3 || most != 3 {
			t.Errorf("cap by %s of 3: %.0f open after ten came, %.0f at most", name, open, most)
		}
	}
}

// addressed is a listener of which only the address is asked.
type addressed struct{ net.Listener }

func (addressed) Addr() net.Addr { return &net.TCPAddr{} }

// drained reads what is left of an answer.
func drained(c net.Conn) bool {
	if c.SetReadDeadline(time.Now().Add(50*time.Millisecond)) != nil {
		return false
	}
	_, err := io.Copy(io.Discard, c)
	return err != nil // the deadline, and not the end
}

// A stranger whose request is with a page that asks for no key holds nobody else's place: neither a slow form nor a page that
// is not read protects its connection.
func TestStrangersFormsHoldNoPlace(t *testing.T) {
	k := newKit(t, func(c *Config) { c.Limits = Limits{Conns: 4, Read: time.Minute} })
	address, _ := k.serve(t)
	caller := dialFrom(t, "127.0.0.9", address)
	defer caller.Close()
	ask := func(c net.Conn) bool {
		if c.SetDeadline(time.Now().Add(30*time.Second)) != nil {
			return false
		}
		_, err := io.WriteString(c, "GET /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+k.tokens[ScopeAdmin]+"\r\n\r\n")
		return err == nil && answered(c)
	}
	if !ask(caller) || !drained(caller) {
		t.Fatal("a caller with a key is not let in")
	}
	for i := range 8 {
		c := dialFrom(t, fmt.Sprintf("127.0.1.%d", i+1), address)
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := io.WriteString(c, "POST /console/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			"Expect: 100-continue\r\nContent-Length: 60000\r\n\r\n")
		begun := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n")) // comes when the page begins to read
		if _, readErr := io.ReadFull(c, begun); err != nil || readErr != nil {
			t.Fatalf("stranger %d: %v, %v", i, err, readErr)
		}
	}
	if !ask(caller) {
		t.Error("a caller with a key lost its connection to strangers' forms")
	}
	fresh := dialFrom(t, "127.0.0.8", address)
	defer fresh.Close()
	if !ask(fresh) {
		t.Error("strangers' forms keep a caller with a key out")
	}
}

// Whoever has signed in to the console is somebody known, and a page that is being made for such a one keeps its connection.
func TestSignedInKeepsTheConnection(t *testing.T) {
	k := newRealKit(t, func(c *Config) { c.Limits = Limits{Conns: 4} })
	address, _ := k.serve(t)
	reader := dialFrom(t, "127.0.0.9", address)
	defer reader.Close()
	if err := reader.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	form := "key=" + k.tokens[ScopeOps]
	_, err := fmt.Fprintf(reader, "POST /console/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
	res, readErr := http.ReadResponse(bufio.NewReader(reader), nil)
	if err != nil || readErr != nil || res.StatusCode != http.StatusSeeOther || len(res.Cookies()) == 0 {
		t.Fatalf("sign in: %v, %v, %v", err, readErr, res)
	}
	defer res.Body.Close()
	push := func(net int) {
		for i := range 8 {
			c := dialFrom(t, fmt.Sprintf("127.0.%d.%d", net, i+1), address)
			defer c.Close()
			if !alive(c) {
				t.Fatal("the newest does not work")
			}
		}
	}
	push(1)
	stream := "GET /console/live HTTP/1.1\r\nHost: x\r\nCookie: " + res.Cookies()[0].String() + "\r\n\r\n"
	if _, err := io.WriteString(reader, stream); err != nil || !answered(reader) {
		t.Fatalf("whoever signed in lost the connection to strangers: %v", err)
	}
	push(2)
	if err := reader.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, reader); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a stream of somebody who has signed in was cut for strangers")
	}
}
