package otp

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

const (
	alice   = "alice-7"
	mobile  = "+447700900123"
	mobile2 = "+447700900124"
	goodPIN = "739264"
)

var (
	start    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	portal   = Caller{Key: "key_portal", Request: "req-1"}
	transfer = Transaction{Amount: "1250.00", Currency: "EUR", Payee: "DE89370400440532013000"}
)

// bench is a service over a store in memory, with a clock that the test sets.
type bench struct {
	t        *testing.T
	kv       *store.Memory
	over     store.KV // what the service sees of it, if it is not kv itself
	ring     *keys.Ring
	outbox   *fakeOutbox
	policy   Policy
	registry *prometheus.Registry
	pin      PINChecker
	now      time.Time
	*Service

	comparisons, computations atomic.Int64
}

// testPolicy is the default one for Britain, with cheap PIN hashes.
func testPolicy() Policy {
	p := DefaultPolicy()
	p.Countries = []string{"GB"}
	p.PIN.MemoryKiB, p.PIN.Time = 8, 1
	return p
}

func newBench(t *testing.T, change ...func(*Policy)) *bench {
	t.Helper()
	ring, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, kv: store.NewMemory(), ring: ring, outbox: &fakeOutbox{}, policy: testPolicy(), now: start}
	for _, f := range change {
		f(&b.policy)
	}
	b.restart()
	return b
}

// restart makes a new service over the same store, as a new process would.
func (b *bench) restart() {
	b.t.Helper()
	b.registry = prometheus.NewRegistry()
	var kv store.KV = b.kv
	if b.over != nil {
		kv = b.over
	}
	s, err := New(Config{
		KV: kv, Secrets: b.kv.Secrets(), Keys: b.ring, Outbox: b.outbox, Policy: b.policy, PIN: b.pin, Random: rand.Reader, Registry: b.registry,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	s.compared = func() { b.comparisons.Add(1) }
	s.pins.computed = func() { b.computations.Add(1) }
	b.Service = s
}

func (b *bench) pass(d time.Duration) { b.now = b.now.Add(d) }

// must fails the test unless err is nil.
func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// wants fails the test unless err is a refusal with code, which it returns.
func (b *bench) wants(err error, code Code) *Error {
	b.t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		b.t.Fatalf("got %v, want a refusal %s", err, code)
	}
	return e
}

func (b *bench) setPIN(account string) {
	b.t.Helper()
	b.must(b.SetPIN(context.Background(), b.now, portal, account, goodPIN, ""))
}

func (b *bench) askEnable(account, phone string) (ChallengeView, error) {
	return b.Enable(context.Background(), b.now, portal, account, EnableRequest{Phone: phone})
}

// enable takes an account through the whole of enabling.
func (b *bench) enable(account, phone string) {
	b.t.Helper()
	b.setPIN(account)
	v, err := b.askEnable(account, phone)
	b.must(err)
	_, err = b.EnableVerify(context.Background(), b.now, portal, account, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	b.must(err)
	b.pass(2 * time.Hour) // out of the way of the hour's limits
}

func (b *bench) create(account string, p Purpose) (ChallengeView, error) {
	r := CreateRequest{Account: account, Purpose: p}
	if b.policy.Purposes[p].Transaction {
		t := transfer
		r.Transaction = &t
	}
	if b.policy.Purposes[p].PIN == PINAtCreate {
		r.PIN = goodPIN
	}
	return b.Create(context.Background(), b.now, portal, r)
}

func (b *bench) verify(id, code string) (ChallengeView, error) {
	b.t.Helper()
	r := VerifyRequest{Code: code}
	v, err := b.Challenge(context.Background(), b.now, id)
	b.must(err)
	if b.policy.Purposes[v.Purpose].Transaction {
		t := transfer
		r.Transaction = &t
	}
	return b.Verify(context.Background(), b.now, portal, id, r)
}

// record returns the stored challenge.
func (b *bench) record(id string) (c challenge) {
	b.t.Helper()
	b.must(b.kv.View(context.Background(), func(tx store.Txn) error {
		var err error
		c, err = store.Load[challenge](tx, challengeKey(id))
		return err
	}))
	return c
}

var codeInText = regexp.MustCompile(`\b[0-9]{6,10}\b`)

// code reads the challenge's code off the phone: it renders the latest message as a modem's claim would.
func (b *bench) code(id string) string {
	b.t.Helper()
	text, err := b.text(id)
	b.must(err)
	c := b.record(id)
	for _, code := range codeInText.FindAllString(text, -1) {
		if len(code) == c.Digits {
			return code
		}
	}
	b.t.Fatalf("no code in %q", text)
	return ""
}

func (b *bench) text(id string) (text string, err error) {
	b.t.Helper()
	c := b.record(id)
	b.must(b.kv.View(context.Background(), func(tx store.Txn) error {
		m, lookup := b.outbox.Lookup(tx, c.Message)
		if lookup != nil {
			return lookup
		}
		text, err = b.Render(tx, b.now, m)
		return nil
	}))
	return text, err
}

// wrong returns a code that is not code.
func wrong(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

// events returns the types of all events in order, as "type account".
func (b *bench) events() (types []string) {
	b.must(b.kv.View(context.Background(), func(tx store.Txn) error {
		return tx.Scan(store.Range{Prefix: "gw/event/"}, func(key string, v []byte) bool {
			e, err := store.Load[gateway.Event](tx, key)
			b.must(err)
			types = append(types, e.Type)
			return true
		})
	}))
	return types
}

// fakeOutbox keeps messages in the caller's transaction and panics when its contract is broken.
type fakeOutbox struct {
	mu     sync.Mutex
	refuse error // what Enqueue answers
}

var _ Outbox = (*fakeOutbox)(nil)

const fakeSeq = "gw/seq"

func next(tx store.Txn) int {
	n, err := store.Load[int](tx, fakeSeq)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		panic(err)
	}
	if err := store.Save(tx, fakeSeq, n+1, time.Time{}); err != nil {
		panic(err)
	}
	return n + 1
}

func (o *fakeOutbox) Enqueue(tx store.Txn, now time.Time, d gateway.Draft) (gateway.Message, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refuse != nil {
		return gateway.Message{}, o.refuse
	}
	switch {
	case d.Kind != gateway.KindCode || d.Text != "" || d.Ref == "":
		panic("a code message has a reference and no text")
	case !e164Pattern.MatchString(d.To) || d.Account == "" || d.Purpose == "" || d.Country == "":
		panic("a code message has a number, a country, an account and a purpose")
	case !d.NotAfter.After(now) || d.NotAfter.Sub(now) > maxTTL:
		panic(fmt.Sprintf("deadline %v from now", d.NotAfter.Sub(now)))
	}
	m := gateway.Message{
		ID: fmt.Sprintf("msg_%08d", next(tx)), To: d.To, Country: d.Country, Kind: d.Kind, Lane: d.Lane, Ref: d.Ref, Account: d.Account,
		Purpose: d.Purpose, Status: gateway.Queued, CreatedAt: now, NotAfter: d.NotAfter,
	}
	return m, store.Save(tx, "gw/msg/"+m.ID, m, time.Time{})
}

func (o *fakeOutbox) Cancel(tx store.Txn, now time.Time, id string) error {
	m, err := o.Lookup(tx, id)
	if err != nil {
		return err
	}
	if m.Status != gateway.Queued {
		return gateway.ErrTooLate
	}
	m.Status, m.FinalAt = gateway.Canceled, now
	return store.Save(tx, "gw/msg/"+id, m, time.Time{})
}

func (o *fakeOutbox) Lookup(tx store.Txn, id string) (gateway.Message, error) {
	m, err := store.Load[gateway.Message](tx, "gw/msg/"+id)
	if errors.Is(err, store.ErrNotFound) {
		err = gateway.ErrNotFound
	}
	return m, err
}

func (o *fakeOutbox) Emit(tx store.Txn, now time.Time, e gateway.Event) error {
	known := []string{"account.sms_enabled", "account.sms_disabled", "account.grade_changed", "challenge.verified", "challenge.blocked"}
	if !slices.Contains(known, e.Type) || e.Account == "" {
		panic("event " + e.Type)
	}
	for key := range maps.Keys(e.Data) {
		if key == "code" || key == "pin" {
			panic("secret in an event")
		}
	}
	return store.Save(tx, fmt.Sprintf("gw/event/%08d", next(tx)), e, time.Time{})
}

// Erase takes two records at once.
func (o *fakeOutbox) Erase(tx store.Txn, now time.Time, account string, _ ...string) (more bool, err error) {
	var doomed []string
	err = tx.Scan(store.Range{Prefix: "gw/"}, func(key string, v []byte) bool {
		if strings.Contains(string(v), `"account":"`+account+`"`) {
			doomed = append(doomed, key)
		}
		return len(doomed) < 2
	})
	for _, key := range doomed {
		if err := tx.Delete(key); err != nil {
			return false, err
		}
	}
	return len(doomed) == 2, err
}

// messages returns the statuses of all messages in order.
func (b *bench) messages() (all []gateway.Message) {
	b.must(b.kv.View(context.Background(), func(tx store.Txn) error {
		return tx.Scan(store.Range{Prefix: "gw/msg/"}, func(key string, _ []byte) bool {
			m, err := store.Load[gateway.Message](tx, key)
			b.must(err)
			all = append(all, m)
			return true
		})
	}))
	return all
}
