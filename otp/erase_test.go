package otp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/gateway/store/storetest"
	"otpost/otp"
)

const (
	former = "+447700900456" // a phone that the account began to enable, and gave up
	other  = "+447700900789" // a phone that one message of the account knows, and nothing else
)

// much is an account of which there is much, as it stands in the store.
type much struct {
	records map[string][]byte
	at      time.Time
	pending string // a challenge
}

// muchOf makes an account with n of all that it can have many of: challenges, twice as many messages with their events and references,
// inbound texts of a phone, and reports about another that wait.
func muchOf(t *testing.T, n int) much {
	made := much{records: map[string][]byte{}}
	withSystem(t, func(s *system) {
		close(s.modem.hold)
		ctx := context.Background()
		s.must(s.rules.SetPIN(ctx, time.Now(), caller, account, pin, ""))
		_, err := s.rules.Enable(ctx, time.Now(), caller, account, otp.EnableRequest{Phone: former})
		s.must(err)
		s.delivered(former)
		_, err = s.rules.Enable(ctx, time.Now(), caller, account, otp.EnableRequest{Phone: number})
		s.must(err)
		s.delivered(number)
		_, err = s.rules.EnableVerify(ctx, time.Now(), caller, account, otp.VerifyRequest{Code: s.code(), PIN: pin})
		s.must(err)
		for i := range n {
			to := number
			if i == 0 {
				to = other
			}
			s.must(s.kv.Update(ctx, func(tx store.Txn) error {
				d := gateway.Draft{To: to, Kind: gateway.KindText, Lane: gateway.LaneText, Text: "hello", Account: account, NotAfter: time.Now().Add(time.Hour)}
				_, err := s.queue.Enqueue(tx, time.Now(), d)
				return err
			}))
			s.delivered(to)
			v, err := s.rules.Create(ctx, time.Now(), caller, otp.CreateRequest{Account: account, Purpose: otp.Login})
			s.must(err)
			s.delivered(number)
			made.pending = v.ID
			in := driver.Inbound{ICCID: "8944", From: other, Text: fmt.Sprint("text ", i), Sent: time.Now(), At: time.Now()}
			s.must(s.queue.Inbound(ctx, "m1", in))
			s.must(s.queue.Report(ctx, "m1", driver.Report{ICCID: "another SIM's", Reference: 7, Recipient: number, Sent: time.Now(), At: time.Now()}))
		}
		s.must(s.kv.View(ctx, func(tx store.Txn) error {
			return tx.Scan(store.Range{}, func(key string, value []byte) bool {
				made.records[key] = value
				return true
			})
		}))
		made.at = time.Now()
	}, func(p *otp.Policy) { p.Limits, p.Pumping.Mode = otp.LimitPolicy{}, otp.PumpingOff })
	kinds := map[string]int{}
	for key := range made.records {
		kinds[kindOf(key)]++
	}
	for kind, least := range map[string]int{
		"gw/msg": 2 * n, "gw/ref": 2 * n, "gw/evt": 4 * n, "gw/acct": 6 * n, "gw/in": n, "gw/from": n, "gw/early": n, "otp/challenge": n, "otp/owned": n,
	} {
		if kinds[kind] < least {
			t.Fatalf("%d records %s/, want at least %d", kinds[kind], kind, least)
		}
	}
	return made
}

// kindOf returns what a record is: the first two steps of its path.
func kindOf(key string) string {
	parts := strings.SplitN(key, "/", 3)
	return parts[0] + "/" + parts[1]
}

// fill writes records, so many at once that a commit has room for them.
func fill(t *testing.T, kv store.KV, records map[string][]byte) {
	t.Helper()
	for some := range slices.Chunk(slices.Sorted(maps.Keys(records)), 250) {
		if err := kv.Update(t.Context(), func(tx store.Txn) error {
			for _, key := range some {
				if err := tx.Set(key, records[key], time.Time{}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// rulesOver makes the rules over a queue as a new process would, of records that a store with these secrets had.
func rulesOver(t *testing.T, kv store.KV, secrets *store.Secrets) *otp.Service {
	t.Helper()
	queue, err := gateway.New(gateway.Config{KV: kv, Secrets: secrets, Render: func(store.Txn, time.Time, gateway.Message) (string, error) {
		return "", errors.ErrUnsupported
	}})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	policy := otp.DefaultPolicy()
	policy.Countries = []string{"GB"}
	rules, err := otp.New(otp.Config{KV: kv, Secrets: secrets, Keys: ring, Outbox: queue, Policy: policy, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// wantNoTrace looks for the account and its phones in every record. There is no other account.
func wantNoTrace(t *testing.T, kv store.KV) {
	t.Helper()
	stays := []string{ // counters, what operators are told, and what is collected by itself
		"gw/conv", "gw/due", "gw/evt", "gw/out", "gw/seen", "gw/sim", "otp/audit", "otp/failures", "otp/limit", "otp/pumping", "otp/report",
	}
	traces := []string{account}
	for _, phone := range []string{number, former, other} {
		traces = append(traces, phone, `"`+phone[len(phone)-7:]+`"`) // its end is what records for reports hold
	}
	left := map[string]int{}
	if err := kv.View(t.Context(), func(tx store.Txn) error {
		return tx.Scan(store.Range{}, func(key string, value []byte) bool {
			tells := slices.ContainsFunc(traces, func(trace string) bool { return strings.Contains(string(value), trace) })
			if kind := kindOf(key); tells || !slices.Contains(stays, kind) {
				left[kind]++
			}
			return true
		})
	}); err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("after the erasure these are left: %v", left)
	}
}

// erasures is how many entries of the audit trail tell of an erasure.
func erasures(t *testing.T, rules *otp.Service) (n int) {
	t.Helper()
	if err := rules.AuditExport(t.Context(), 1, func(e otp.AuditEntry) error {
		if e.Action == "account.erase" {
			n++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// An account can be erased however much there is of it: it goes in as many transactions as that takes, each of which the store has
// room for.
func TestEraseLargeAccount(t *testing.T) {
	ring, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := store.OpenBadger(t.Context(), store.BadgerConfig{Dir: t.TempDir(), Keys: ring, Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := kv.Close(); err != nil {
			t.Error(err)
		}
	}()
	made := muchOf(t, 750)
	fill(t, kv, made.records)
	watched := &storetest.Counting{KV: kv}
	rules := rulesOver(t, watched, store.NewMemory().Secrets())
	began := time.Now()
	if err := rules.Erase(t.Context(), made.at, caller, account); err != nil {
		t.Fatal(err)
	}
	largest := slices.Max(watched.Written)
	t.Logf("%d updates, the largest of %d records, in %v", len(watched.Written), largest, time.Since(began))
	wantNoTrace(t, kv)
	if n := erasures(t, rules); n != 1 {
		t.Errorf("%d entries of the audit trail tell of it, want 1", n)
	}
	if largest > 2000 {
		t.Errorf("an update wrote %d records", largest)
	}
	err = rules.Erase(t.Context(), made.at, caller, account)
	if e := new(otp.Error); !errors.As(err, &e) || e.Code != otp.NotFound {
		t.Errorf("a second erasure: %v, want not-found", err)
	}
}

var errStumbled = errors.New("the test ends it here")

// stumbling is a store that after so many updates fails, either before or after it has committed the next.
type stumbling struct {
	store.KV
	allowed   int
	committed bool

	updates int // that were run
}

func (k *stumbling) Update(ctx context.Context, f func(store.Txn) error) error {
	if k.updates == k.allowed && !k.committed {
		return errStumbled
	}
	k.updates++
	err := k.KV.Update(ctx, f)
	if err == nil && k.updates > k.allowed {
		err = errStumbled
	}
	return err
}

// An erasure that ends in the middle, wherever that is, leaves an account that is there and can be erased, by another process too;
// nothing tells of an erasure before the account is gone.
func TestEraseEndsInTheMiddle(t *testing.T) {
	made := muchOf(t, 300)
	for _, tt := range []struct {
		name      string
		allowed   int
		committed bool
	}{{"not committed", 1, false}, {"committed and not known", 0, true}} {
		t.Run(tt.name, func(t *testing.T) {
			kv := store.NewMemory()
			fill(t, kv, made.records)
			whole := rulesOver(t, kv, kv.Secrets())
			tries := 0
			for there := true; there; {
				tries++
				broken := &stumbling{KV: kv, allowed: tt.allowed, committed: tt.committed}
				err := rulesOver(t, broken, kv.Secrets()).Erase(t.Context(), made.at, caller, account)
				_, missing := whole.Account(t.Context(), made.at, account)
				e := new(otp.Error)
				there = !errors.As(missing, &e) || e.Code != otp.NotFound
				switch n := erasures(t, whole); {
				case there && missing != nil:
					t.Fatal(missing)
				case there && !errors.Is(err, errStumbled), !there && !tt.committed && err != nil:
					t.Fatalf("try %d: %v", tries, err)
				case n > 0 && there, n != 1 && !there:
					t.Fatalf("try %d: %d entries of the audit trail tell of it, the account is there: %v", tries, n, there)
				}
				if v, err := whole.Challenge(t.Context(), made.at, made.pending); err == nil && v.Status != otp.Canceled {
					t.Fatalf("try %d: a challenge is %s", tries, v.Status)
				}
			}
			if tries < 4 {
				t.Errorf("it took %d tries: nothing was in the middle", tries)
			}
			wantNoTrace(t, kv)
		})
	}
}
