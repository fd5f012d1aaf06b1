package api

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"otpost/api/wire"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

// BenchmarkGetAccount is the cost of a call through all layers of this package, with the store in memory.
func BenchmarkGetAccount(b *testing.B) {
	k := newRealKit(b)
	k.enrolled(b, "a", mobile)
	b.ReportAllocs()
	for b.Loop() {
		if r := k.do("GET", "/v1/accounts/a", k.tokens[ScopePortal], ""); r.StatusCode != 200 {
			b.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
}

// BenchmarkHealth is the same without key, rules and store.
func BenchmarkHealth(b *testing.B) {
	k := newKit(b)
	b.ReportAllocs()
	for b.Loop() {
		if r := k.do("GET", "/healthz", k.tokens[ScopeOps], ""); r.StatusCode != 200 {
			b.Fatal(r.StatusCode)
		}
	}
}

// BenchmarkIdempotentPost is a repeated POST, answered from what is kept.
func BenchmarkIdempotentPost(b *testing.B) {
	k := newRealKit(b)
	if r := k.post(send, "one"); r.StatusCode != 202 {
		b.Fatalf("%d %s", r.StatusCode, r.body)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := k.post(send, "one"); r.StatusCode != 202 {
			b.Fatal(r.StatusCode)
		}
	}
}

// The two calls that a portal makes for each login, over a connection, and beside them what the rules alone take of it and
// the least that the same stack can do: the difference is this package.

// BenchmarkCreateChallenge is POST /v1/challenges.
func BenchmarkCreateChallenge(b *testing.B) {
	k := newDesk(b)
	b.Run("rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.create(b)
		}
	})
	b.Run("call", func(b *testing.B) {
		c := dialBench(b, k.address, k.tokens[ScopePortal])
		b.ReportAllocs()
		for b.Loop() {
			c.post(b, "/v1/challenges", `{"account":"a","purpose":"login"}`, http.StatusAccepted)
		}
	})
}

// BenchmarkVerifyChallenge is POST /v1/challenges/{id}/verify with the right code.
func BenchmarkVerifyChallenge(b *testing.B) {
	k := newDesk(b)
	b.Run("rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			id := k.create(b)
			code := k.code(b, id)
			b.StartTimer()
			if _, err := k.cfg.Rules.Verify(context.Background(), time.Now(), otp.Caller{Key: "k"}, id, otp.VerifyRequest{Code: code}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("call", func(b *testing.B) {
		c := dialBench(b, k.address, k.tokens[ScopePortal])
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			id := k.create(b)
			path, body := "/v1/challenges/"+id+"/verify", fmt.Sprintf(`{"code":%q}`, k.code(b, id))
			b.StartTimer()
			c.post(b, path, body, http.StatusOK)
		}
	})
}

// BenchmarkCall is a call like the two with nothing behind it.
func BenchmarkCall(b *testing.B) {
	k := newKit(b, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) })
	k.router = mux.NewRouter().SkipClean(true)
	k.api = newHuma(k.router, "bench")
	k.api.UseMiddleware(k.admission, k.body, k.idempotent, k.compat)
	register(k.Server, call{id: "bench", method: http.MethodPost, path: "/v1/bench", may: []Scope{ScopePortal}, once: true},
		func(context.Context, *struct{ Body wire.CreateChallenge }) (*answer[wire.Challenge], error) {
			return &answer[wire.Challenge]{exampleChallenge("login")}, nil
		})
	k.handler = k.outermost(k.router)
	address, _ := k.serve(b)
	c := dialBench(b, address, k.tokens[ScopePortal])
	b.ReportAllocs()
	for b.Loop() {
		c.post(b, "/v1/bench", `{"account":"a","purpose":"login"}`, http.StatusOK)
	}
}

// BenchmarkYardstick is a call of huma on mux that checks a body and answers, and nothing else.
func BenchmarkYardstick(b *testing.B) {
	router := mux.NewRouter()
	type request struct {
		Body struct {
			Account string `json:"account" maxLength:"128"`
			Purpose string `json:"purpose"`
		}
	}
	type answer struct {
		Body struct {
			ID string `json:"id"`
		}
	}
	huma.Register(humamux.New(router, huma.DefaultConfig("yardstick", "1")), huma.Operation{Method: http.MethodPost, Path: "/commit"},
		func(_ context.Context, in *request) (*answer, error) {
			out := &answer{}
			out.Body.ID = fmt.Sprint(time.Now().UnixNano())
			return out, nil
		})
	srv := &http.Server{Handler: router, ReadHeaderTimeout: 5 * time.Second}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	b.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	})
	c := dialBench(b, l.Addr().String(), "none")
	b.ReportAllocs()
	for b.Loop() {
		c.post(b, "/commit", `{"account":"a","purpose":"login"}`, http.StatusOK)
	}
}

// desk is a kit that serves with real rules for the enrolled account "a", without limits, and with nothing behind them: what
// it sends goes nowhere.
type desk struct {
	*kit
	address string
}

func newDesk(b *testing.B) *desk {
	kv := store.NewMemory()
	policy := otp.DefaultPolicy()
	policy.Countries = []string{"GB"}
	policy.PIN.MemoryKiB, policy.PIN.Time = 8, 1
	policy.Limits = otp.LimitPolicy{}
	rules := must(otp.New(otp.Config{KV: kv, Secrets: kv.Secrets(), Keys: must(keys.Generate(rand.Reader)), Outbox: nowhere{}, Policy: policy, Random: rand.Reader}))
	d := &desk{kit: newKit(b, func(c *Config) {
		c.Rules, c.KV, c.Secrets, c.Log = rules, kv, kv.Secrets(), slog.New(slog.DiscardHandler)
	})}
	d.kv = kv
	d.address, _ = d.serve(b)
	ctx, now, by := context.Background(), time.Now(), otp.Caller{Key: "k"}
	if err := rules.SetPIN(ctx, now, by, "a", pin, ""); err != nil {
		b.Fatal(err)
	}
	v := must(rules.Enable(ctx, now, by, "a", otp.EnableRequest{Phone: mobile}))
	must(rules.EnableVerify(ctx, now, by, "a", otp.VerifyRequest{Code: d.code(b, v.ID), PIN: pin}))
	return d
}

// create asks the rules for a challenge.
func (d *desk) create(b *testing.B) (id string) {
	v, err := d.cfg.Rules.Create(context.Background(), time.Now(), otp.Caller{Key: "k"}, otp.CreateRequest{Account: "a", Purpose: otp.Login})
	if err != nil {
		b.Fatal(err)
	}
	return v.ID
}

// code is what the phone would show.
func (d *desk) code(b *testing.B, id string) string {
	var text string
	err := d.kv.View(context.Background(), func(tx store.Txn) (err error) {
		text, err = d.cfg.Rules.Render(tx, time.Now(), gateway.Message{ID: "msg_1", Ref: id + ".1", To: mobile})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return sixDigits.FindString(text)
}

// nowhere is an outbox that keeps nothing.
type nowhere struct{}

var _ otp.Outbox = nowhere{}

func (nowhere) Enqueue(_ store.Txn, now time.Time, d gateway.Draft) (gateway.Message, error) {
	return gateway.Message{ID: "msg_01k9w3b5x8t2q4r6s7v9y0z1a2", To: d.To, Ref: d.Ref, Status: gateway.Queued, CreatedAt: now}, nil
}

func (nowhere) Cancel(store.Txn, time.Time, string) error { return nil }

func (nowhere) Lookup(_ store.Txn, id string) (gateway.Message, error) {
	return gateway.Message{ID: id, Status: gateway.Queued}, nil
}

func (nowhere) Emit(store.Txn, time.Time, gateway.Event) error { return nil }

func (nowhere) Erase(store.Txn, time.Time, string, ...string) (bool, error) { return false, nil }

// benchClient is a connection of a client that allocates next to nothing itself.
type benchClient struct {
	conn  net.Conn
	in    *bufio.Reader
	out   []byte
	token string
}

func dialBench(b *testing.B, address, token string) *benchClient {
	conn := must(net.Dial("tcp", address))
	b.Cleanup(func() { _ = conn.Close() })
	return &benchClient{conn: conn, in: bufio.NewReader(conn), token: token}
}

func (c *benchClient) post(b *testing.B, path, body string, want int) {
	c.out = fmt.Appendf(c.out[:0], "POST %s HTTP/1.1\r\nHost: localhost:8475\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n"+
		"Authorization: Bearer %s\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n%s", path, len(body), c.token, body)
	if _, err := c.conn.Write(c.out); err != nil {
		b.Fatal(err)
	}
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != want || !json.Valid(answer) {
		b.Fatalf("%s: %d %s %v", path, r.StatusCode, answer, err)
	}
}
