package api

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"
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

// drained reads what is left of an answer.
func drained(c net.Conn) bool {
	if c.SetReadDeadline(time.Now().Add(50*time.Millisecond)) != nil {
		return false
	}
	_, err := io.Copy(io.Discard, c)
	return err != nil // the deadline, and not the end
}
