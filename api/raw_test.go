package api

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is no HTTP request, or could be read as two different ones, is refused by net/http before a call is known: in plain
// text, because there is no request yet to answer, with nothing in it of what was sent, and the connection ends. What is a
// request gets one answer, however its body looks to a reader that counts otherwise.
func TestRawRequests(t *testing.T) {
	k := newKit(t)
	address, _ := k.serve(t)
	const (
		canary = "994411"
		get    = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
		post   = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	)
	plain := func(status string) string {
		return "HTTP/1.1 " + status + "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	}
	for _, tt := range []struct {
		name, send, want string // want: the beginning of the only answer
		answers          int    // 0: 1
	}{
		{name: "a request", send: get, want: "HTTP/1.1 200 OK"},
		{name: "two of them", send: get + get, want: "HTTP/1.1 200 OK", answers: 2},
		{name: "no HTTP", send: canary + "\r\n\r\n", want: plain("400 Bad Request")},
		{name: "TLS", send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", want: plain("400 Bad Request")},
		{name: "space in the path", send: "GET /" + canary + " x HTTP/1.1\r\nHost: x\r\n\r\n", want: plain("400 Bad Request")},
		{name: "no host", send: "GET /healthz HTTP/1.1\r\n\r\n", want: plain("400 Bad Request: missing required Host header")},
		{name: "two hosts", send: "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", want: plain("400 Bad Request")},
		{name: "a host that is none", send: "GET /healthz HTTP/1.1\r\nHost: " + canary + " y\r\n\r\n", want: plain("400 Bad Request: malformed Host header")},
		{name: "NUL in a header", send: "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + canary + "\x00\r\n\r\n", want: plain("400 Bad Request")},
		{name: "space before the colon", send: post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", want: plain("400 Bad Request: invalid header name")},
		{name: "HTTP of the future", send: "GET / HTTP/4.2\r\nHost: x\r\n\r\n", want: plain("505 HTTP Version Not Supported: unsupported protocol version")},
		{name: "header too large", send: "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(canary, 6000) + "\r\n\r\n", want: plain("431 Request Header Fields Too Large")},
		{name: "a transfer coding of its own", send: post + "Transfer-Encoding: " + canary + "\r\n\r\n", want: plain("501 Not Implemented")},
		{name: "two transfer codings", send: post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", want: plain("501 Not Implemented")},
		{name: "two lengths", send: post + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}", want: plain("400 Bad Request")},
		{name: "signed length", send: post + "Content-Length: +2\r\n\r\n{}", want: plain("400 Bad Request")},
		{name: "negative length", send: post + "Content-Length: -2\r\n\r\n{}", want: plain("400 Bad Request")},
		{name: "length in hex", send: post + "Content-Length: 0x2\r\n\r\n{}", want: plain("400 Bad Request")},
		{name: "huge length", send: post + "Content-Length: 99999999999999999999\r\n\r\n{}", want: plain("400 Bad Request")},
		{name: "length and chunks: the chunks count, and nothing follows", send: post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "HTTP/1.1 401 "},
		{name: "a request in a stranger's body", send: post + "Content-Length: " + strconv.Itoa(len(get)) + "\r\n\r\n" + get, want: "HTTP/1.1 401 "},
		{name: "chunk of a size that is none", send: post + "Authorization: Bearer " + k.tokens[ScopeMessages] + "\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + get, want: "HTTP/1.1 400 "},
		{name: "chunk that is longer than it says", send: post + "Authorization: Bearer " + k.tokens[ScopeMessages] + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}" + get, want: "HTTP/1.1 400 "},
		{name: "chunks without end", send: post + "Authorization: Bearer " + k.tokens[ScopeMessages] + "\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("fff\r\n"+strings.Repeat("x", 0xfff)+"\r\n", 20), want: "HTTP/1.1 413 "},
		{name: "CONNECT", send: "CONNECT 192.0.2.1:25 HTTP/1.1\r\nHost: 192.0.2.1:25\r\n\r\n", want: "HTTP/1.1 4"},
		{name: "a path of another host", send: "GET http://192.0.2.1/healthz HTTP/1.1\r\nHost: x\r\n\r\n", want: "HTTP/1.1 200 OK"},
		{name: "an asterisk", send: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", want: "HTTP/1.1 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := exchange(t, address, tt.send)
			if !strings.HasPrefix(got, tt.want) || strings.Contains(got, canary) {
				t.Errorf("got %.300q, want %q", got, tt.want)
			}
			if n := strings.Count(got, "HTTP/1.1 "); n != max(tt.answers, 1) {
				t.Errorf("%d answers, want %d: %q", n, max(tt.answers, 1), got)
			}
		})
	}
}

// exchange sends bytes, says that no more will come, and returns all that comes back.
func exchange(t *testing.T, address, send string) string {
	t.Helper()
	c := must(net.Dial("tcp", address)).(*net.TCPConn)
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(c, send) // the server may have answered and gone already
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if len(got) == 0 {
		t.Fatalf("no answer: %v", err)
	}
	return string(got)
}
