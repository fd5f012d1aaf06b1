package otp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"otpost/gateway/store"
)

// history makes a trail with a bit of everything in it.
func history(t *testing.T) *bench {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	_, err = b.verify(v.ID, wrong(b.code(v.ID)))
	b.wants(err, VerificationFailed)
	_, err = b.Enable(ctx, b.now, from(home), "bob", EnableRequest{Phone: "+4915123456789"})
	b.wants(err, CountryNotAllowed)
	_, err = b.SetGrade(ctx, b.now, portal, alice, 3)
	b.must(err)
	b.must(b.Erase(ctx, b.now, portal, alice))
	return b
}

func (b *bench) trail() (all []AuditEntry) {
	b.t.Helper()
	b.must(b.AuditExport(context.Background(), 1, func(e AuditEntry) error { all = append(all, e); return nil }))
	return all
}

func TestAuditTellsEveryChangeAndRefusal(t *testing.T) {
	b := history(t)
	var got []string
	for _, e := range b.trail() {
		got = append(got, e.Action+" "+e.Outcome)
	}
	want := []string{
		"pin.set ok", "sms.enable ok", "sms.enable.verify ok", "login ok", "challenge.verify verification-failed",
		"sms.enable country-not-allowed", "grade.set ok", "account.erase ok",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	trail := b.trail()
	if e := trail[5]; e.Network != "198.51.100.0/24" || e.Client == "" || e.By != "k" || e.Account == "" {
		t.Errorf("refusal %+v", e)
	}
	if e := trail[6]; e.Facts["grade_old"] != "1" || e.Facts["grade_new"] != "3" || e.Request != "req-1" {
		t.Errorf("grade %+v", e)
	}
	for i, e := range trail {
		if known := e.Account == b.AuditPseudonym(alice); known != (i != 5) {
			t.Errorf("entry %d: the pseudonym survives erasure: %v", i, known)
		}
	}
	n, last, err := b.AuditVerify(context.Background())
	b.must(err)
	if n != uint64(len(want)) || last != trail[len(trail)-1].Hash {
		t.Errorf("verified %d entries", n)
	}
}

func TestAuditChainShowsEveryTampering(t *testing.T) {
	change := func(b *bench, f func(tx store.Txn) error) { b.must(b.kv.Update(context.Background(), f)) }
	edit := func(seq uint64, f func(*AuditEntry)) func(tx store.Txn) error {
		return func(tx store.Txn) error {
			e, err := store.Load[AuditEntry](tx, auditKey(seq))
			if err != nil {
				return err
			}
			f(&e)
			return store.Save(tx, auditKey(seq), e, time.Time{})
		}
	}
	tests := []struct {
		name   string
		tamper func(tx store.Txn) error
		seq    uint64
	}{
		{"outcome altered", edit(5, func(e *AuditEntry) { e.Outcome = "ok" }), 5},
		{"altered and hashed again", edit(5, func(e *AuditEntry) {
			e.Outcome = "ok"
			e.Hash, _ = e.sum() // of a value that was read back, which encodes
		}), 6},
		{"removed", func(tx store.Txn) error { return tx.Delete(auditKey(4)) }, 4},
		{"last removed", func(tx store.Txn) error { return tx.Delete(auditKey(8)) }, 8},
		{"moved", func(tx store.Txn) error {
			e, err := tx.Get(auditKey(3))
			if err != nil {
				return err
			}
			return tx.Set(auditKey(4), e, time.Time{})
		}, 4},
		{"head set back", func(tx store.Txn) error {
			e, err := store.Load[AuditEntry](tx, auditKey(7))
			if err != nil {
				return err
			}
			return store.Save(tx, auditHead, head{Seq: 7, Hash: e.Hash}, time.Time{})
		}, 8},
		{"last replaced", edit(8, func(e *AuditEntry) {
			e.Action = "nothing"
			e.Hash, _ = e.sum() // of a value that was read back, which encodes
		}), 8},
		{"first cut off", func(tx store.Txn) error { return tx.Delete(auditKey(1)) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := history(t)
			change(b, tt.tamper)
			_, _, err := b.AuditVerify(context.Background())
			var e *ChainError
			if !errors.As(err, &e) || e.Seq != tt.seq {
				t.Errorf("got %v, want a break at %d", err, tt.seq)
			}
		})
	}
}

func TestAuditExportPages(t *testing.T) {
	b := newBench(t)
	for i := range 2*auditPage + 7 {
		_, err := b.SetGrade(context.Background(), b.now, Caller{Key: "k\xff\n", Request: strings.Repeat("é", 100)}, alice, i%3)
		b.must(err)
	}
	n, _, err := b.AuditVerify(context.Background())
	b.must(err)
	if n != 2*auditPage+7 {
		t.Errorf("%d entries", n)
	}
	var first uint64
	b.must(b.AuditExport(context.Background(), 1500, func(e AuditEntry) error {
		if first == 0 {
			first = e.Seq
		}
		return nil
	}))
	if first != 1500 {
		t.Errorf("export from 1500 begins at %d", first)
	}
	stop := errors.New("stop")
	if err := b.AuditExport(context.Background(), 1, func(AuditEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// everything returns all records, keys and values, as text.
func (b *bench) everything() string {
	var s strings.Builder
	b.must(b.kv.View(context.Background(), func(tx store.Txn) error {
		return tx.Scan(store.Range{}, func(key string, value []byte) bool {
			s.WriteString(key + " " + string(value) + "\n")
			return true
		})
	}))
	return s.String()
}

// TestErasureLeavesNoTrace looks for the account and its phone in every record, before (as a control) and after.
func TestErasureLeavesNoTrace(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	_, err = b.verify(v.ID, wrong(b.code(v.ID)))
	b.wants(err, VerificationFailed)
	_, err = b.create(alice, Withdrawal)
	b.must(err)
	traces := []string{alice, mobile, mobile[1:], mobile[3:], transfer.Payee, "client-of-" + alice}
	before := b.everything()
	if !strings.Contains(before, alice) || !strings.Contains(before, mobile) || !strings.Contains(before, transfer.Payee) {
		t.Fatal("the search finds nothing before the erasure either")
	}
	b.must(b.Erase(ctx, b.now, portal, alice))
	for line := range strings.Lines(b.everything()) {
		for _, trace := range traces {
			if strings.Contains(line, trace) {
				t.Errorf("%q is left in %s", trace, line)
			}
		}
	}
	_, err = b.Account(ctx, b.now, alice)
	b.wants(err, NotFound)
	_, err = b.Challenge(ctx, b.now, v.ID)
	b.wants(err, NotFound)
	b.wants(b.Erase(ctx, b.now, portal, alice), NotFound)
}

// TestInvariant3_NoSecretInRecords plants known secrets and looks for them in every record, key names included.
func TestInvariant3_NoSecretInRecords(t *testing.T) {
	b := newBench(t, func(p *Policy) {
		login := p.Purposes[Login]
		login.ClientSecret, login.Digits = true, 10
		p.Purposes[Login] = login
	})
	const canaryPIN = "850937261748"
	b.must(b.SetPIN(context.Background(), b.now, portal, alice, canaryPIN, ""))
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	_, err = b.EnableVerify(context.Background(), b.now, portal, alice, VerifyRequest{Code: b.code(v.ID), PIN: canaryPIN})
	b.must(err)
	v, err = b.create(alice, Login)
	b.must(err)
	code := b.code(v.ID)
	view, err := json.Marshal(v)
	b.must(err)
	secrets := []string{canaryPIN, code, v.ClientSecret}
	find := func(text string) (found []string) {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				found = append(found, s)
			}
		}
		return found
	}
	if found := find(b.everything()); found != nil {
		t.Errorf("the store holds %d of the secrets", len(found))
	}
	if found := find(string(view)); len(found) != 1 { // the client secret, which is for the client
		t.Errorf("the answer holds %d secrets, want the client's alone", len(found))
	}
	b.must(b.kv.Update(context.Background(), func(tx store.Txn) error { return store.Save(tx, "otp/leak", code, time.Time{}) }))
	if find(b.everything()) == nil {
		t.Error("the planted leak was not found")
	}
	for key := range strings.Lines(b.everything()) {
		if name, _, _ := strings.Cut(key, " "); strings.Contains(name, alice) || strings.Contains(name, mobile[3:]) {
			t.Errorf("key name %s tells who", name)
		}
	}
}
