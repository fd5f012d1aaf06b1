package api

import (
	"io"
	"net"
	"net/http"
	"slices"
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

// drained reads what is left of an answer.
func drained(c net.Conn) bool {
	if c.SetReadDeadline(time.Now().Add(50*time.Millisecond)) != nil {
		return false
	}
	_, err := io.Copy(io.Discard, c)
	return err != nil // the deadline, and not the end
}

// With two thousand slow and idle connections from many sources, and more coming, a good client is served as before:
// its p99 at most doubles (or stays below a bound that says the machine was busy, not the server).
func TestSlowConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	k := newKit(t, func(c *Config) { c.Limits = Limits{Conns: 400} })
	address, _ := k.serve(t)
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	p99 := func(n int) time.Duration {
		var took []time.Duration
		for range n {
			start := time.Now()
			res, err := client.Get("http://" + address + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body) // only the time counts
			res.Body.Close()
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took[n*99/100]
	}
	before := p99(300)
	for i := range 2000 {
		c := dialFrom(t, net.IPv4(127, 0, 1, byte(i%200+1)).String(), address)
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ") // it may be cut already
		}
	}
	during := p99(300)
	for range 3 { // other programs on the machine may have had the processor
		during = min(during, p99(300))
	}
	t.Logf("p99 %v before, %v with 2000 slow connections", before, during)
	if during > max(2*before, 50*time.Millisecond) {
		t.Errorf("p99 went from %v to %v", before, during)
	}
}
