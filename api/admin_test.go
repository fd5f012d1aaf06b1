package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"otpost/api/client"
	"otpost/api/wire"
	"otpost/gateway/store"
	"otpost/otp"
)

// admin is a client of a real server.
func (k *kit) admin(t *testing.T) *client.Client {
	t.Helper()
	address, _ := k.serve(t)
	return must(client.New(client.Options{Address: address, Key: k.tokens[ScopeAdmin]}))
}

func TestLimitsReport(t *testing.T) {
	k := newRealKit(t)
	c := k.admin(t)
	k.enrolled(t, "client-1", "+447700900123")
	empty := must(c.LimitsReport(context.Background(), 7))
	if empty.Mode != "observe" || len(empty.Days) > 0 && len(empty.Days[0].Lines) > 0 {
		t.Errorf("before any refusal: %+v", empty)
	}
	first := time.Now().UTC().Format(time.DateOnly)
	for range 2 {
		if p := k.do("POST", "/v1/accounts/client-2/sms/enable", k.tokens[ScopePortal], `{"phone":"+33612345678"}`).problem(t); p.Code != "country-not-allowed" {
			t.Fatal(p)
		}
	}
	got := must(c.LimitsReport(context.Background(), 2)) // midnight may have passed meanwhile
	refused := 0
	for _, d := range got.Days {
		if d.Day < first || d.Day > time.Now().UTC().Format(time.DateOnly) {
			t.Errorf("day %s", d.Day)
		}
		for _, l := range d.Lines {
			if l.Limit == "country-not-allowed" {
				refused += l.Refused
			}
		}
	}
	if refused != 2 {
		t.Errorf("two refusals are reported as %+v", got.Days)
	}
	want := []wire.Conversion{{Modem: "modem1", Prefix: "+44770", Country: "GB", Sent: 1, Verified: 1}}
	for deadline := time.Now().Add(30 * time.Second); !cmp.Equal(want, got.Conversions) && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond) // the modem's verdict may still be on its way to the store
		got = must(c.LimitsReport(context.Background(), 2))
	}
	if diff := cmp.Diff(want, got.Conversions); diff != "" {
		t.Errorf("conversions (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"0", "31", "x", "-1"} {
		if r := k.do("GET", "/v1/limits/report?days="+bad, k.tokens[ScopeOps], ""); r.StatusCode != 400 {
			t.Errorf("days=%s: %d", bad, r.StatusCode)
		}
	}
}

// The trail is read page by page, checked whole, and a broken one is named and not handed out.
func TestAudit(t *testing.T) {
	k := newRealKit(t)
	c, ctx := k.admin(t), context.Background()
	for i := range 5 {
		ask[struct{}](t, k.kit, 204, "PUT", fmt.Sprintf("/v1/accounts/client-%d/pin", i), `{"pin":"739154"}`)
	}
	var seqs []uint64
	for from := uint64(1); from != 0; {
		page := must(c.Audit(ctx, from, 2))
		for _, e := range page.Entries {
			seqs = append(seqs, e.Seq)
			if e.Action != "pin.set" || e.Outcome != "ok" || strings.Contains(e.Account, "client") {
				t.Errorf("entry %+v", e)
			}
		}
		from = page.Next
	}
	if d := cmp.Diff([]uint64{1, 2, 3, 4, 5}, seqs); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	good := must(c.CheckAudit(ctx))
	if !good.Good || good.Entries != 5 || len(good.LastHash) != 64 {
		t.Errorf("check: %+v", good)
	}
	key := fmt.Sprintf("otp/audit/entry/%020d", 3)
	err := k.kv.Update(ctx, func(tx store.Txn) error {
		e, err := store.Load[otp.AuditEntry](tx, key)
		e.Outcome = "refused"
		return errors.Join(err, store.Save(tx, key, e, time.Time{}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if bad := must(c.CheckAudit(ctx)); bad.Good || bad.BrokenAt != 3 || bad.Why != "was altered" {
		t.Errorf("check of an altered trail: %+v", bad)
	}
	_, err = c.Audit(ctx, 1, 10)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != 503 || !strings.Contains(p.Detail, "audit entry 3") {
		t.Errorf("an altered trail: %v", err)
	}
}

// A backup is whole or is an error; it opens with the secret half only.
func TestBackup(t *testing.T) {
	k := newRealKit(t)
	c, ctx := k.admin(t), context.Background()
	k.enrolled(t, "client-1", "+447700900123")
	id := must(age.GenerateX25519Identity())
	var b bytes.Buffer
	n := must(c.Backup(ctx, &b, id.Recipient().String()))
	sum := must(store.Check(ctx, bytes.NewReader(b.Bytes()), id))
	if n == 0 || sum.Records != n {
		t.Errorf("the trailer says %d records, the backup has %d", n, sum.Records)
	}
	if _, err := store.Check(ctx, bytes.NewReader(b.Bytes()), must(age.GenerateX25519Identity())); err == nil {
		t.Error("the backup opens with another secret")
	}
	for _, secret := range []string{"client-1", "447700900123", k.tokens[ScopeAdmin]} {
		if bytes.Contains(b.Bytes(), []byte(secret)) {
			t.Errorf("the backup shows %q", secret)
		}
	}
	for _, bad := range []string{"age1nonsense", "", id.String()} {
		_, err := c.Backup(ctx, &b, bad)
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Code != "invalid-request" || strings.Contains(p.Error(), "AGE-SECRET") {
			t.Errorf("recipient %q: %v", bad, err)
		}
	}
}

// dying is a store whose views break in the middle.
type dying struct{ *store.Memory }

func (d dying) View(ctx context.Context, f func(store.Txn) error) error {
	return errors.Join(errors.New("read error"), d.Memory.View(ctx, f))
}

func TestBackupCutOff(t *testing.T) {
	k := newKit(t)
	c := k.admin(t)
	k.Server.cfg.KV = dying{k.kv}
	var b bytes.Buffer
	id := must(age.GenerateX25519Identity())
	if _, err := c.Backup(context.Background(), &b, id.Recipient().String()); !errors.Is(err, client.ErrCutOff) {
		t.Errorf("a backup whose store died: %v", err)
	}
	if _, err := store.Check(context.Background(), &b, id); err == nil {
		t.Error("what was written passes for a backup")
	}
	if !strings.Contains(k.log.String(), "backup was cut off") {
		t.Error("the log does not say so")
	}
}
