package otp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"otpost/gateway/store"
)

// The audit trail is append-only: otp/audit/head counts the entries and holds the last one's hash, and each entry is
// written in the transaction that it tells of. Each names the hash of the one before, so a missing, altered or moved entry
// shows. It holds no account id, phone or full address but keyed pseudonyms of them, so it stays whole when an account is
// erased.
const (
	auditHead   = "otp/audit/head"
	auditPrefix = "otp/audit/entry/"
)

// AuditEntry is one line of the trail.
type AuditEntry struct {
	Seq     uint64            `json:"seq"`
	At      time.Time         `json:"at"`
	Action  string            `json:"action"`            // "sms.enable", "pin.set", …
	Outcome string            `json:"outcome"`           // "ok" or the code of the refusal
	Account string            `json:"account,omitempty"` // pseudonym, see Service.AuditPseudonym
	Phone   string            `json:"phone,omitempty"`   // pseudonym
	By      string            `json:"by"`                // id of the API key, or "socket:<uid>"
	Request string            `json:"request,omitempty"` // correlation id
	Network string            `json:"network,omitempty"` // of the client: /24 or /48
	Client  string            `json:"client,omitempty"`  // pseudonym of its address
	Facts   map[string]string `json:"facts,omitempty"`
	Prev    string            `json:"prev"` // hash of the entry before, in hex
	Hash    string            `json:"hash"`
}

// head is the end of the chain.
type head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

func auditKey(seq uint64) string { return fmt.Sprintf("%s%020d", auditPrefix, seq) }

// sum is the hash of e: SHA-256 over its JSON with Hash left empty (Prev is inside).
func (e AuditEntry) sum() (string, error) {
	_, sum, err := e.seal()
	return sum, err
}

// seal returns e's record with its hash, and the hash. The hash is the last member of the JSON, so it is put in where it
// was left empty.
func (e AuditEntry) seal() (record []byte, sum string, err error) {
	const empty = `""}`
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		return nil, "", fmt.Errorf("encode an audit entry: %w", err)
	}
	hash := sha256.Sum256(b)
	sum = hex.EncodeToString(hash[:])
	return fmt.Appendf(bytes.TrimSuffix(b, []byte(empty)), "%q}", sum), sum, nil
}

// audit appends the entry of w.
func (w *work) audit(outcome string) error {
	last, err := w.auditEnd()
	if err != nil {
		return err
	}
	e := AuditEntry{
		Seq: last.Seq + 1, At: w.now.UTC(), Action: w.action, Outcome: outcome,
		By: clean(w.by.Key), Request: clean(w.by.Request), Network: w.by.network(), Client: w.actor(), Facts: w.facts, Prev: last.Hash,
	}
	if w.account != "" {
		e.Account = w.AuditPseudonym(w.account)
	}
	if w.phone != "" {
		e.Phone = w.pseudonym("audit-phone", w.phone)
	}
	record, sum, err := e.seal()
	if err != nil {
		return err
	}
	if err := w.tx.Set(auditKey(e.Seq), record, time.Time{}); err != nil {
		return err
	}
	return store.Save(w.tx, auditHead, head{Seq: e.Seq, Hash: sum}, time.Time{})
}

// clean makes s survive JSON unchanged, which the hash of an entry relies on, and keeps it short.
func clean(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 128)], "?")
}

// AuditPseudonym returns the name that the audit trail knows account by, also after its erasure.
func (s *Service) AuditPseudonym(account string) string { return s.pseudonym("audit-account", account) }

// A ChainError says where the audit trail is broken.
type ChainError struct {
	Seq uint64
	Why string
}

func (e *ChainError) Error() string { return fmt.Sprintf("audit entry %d: %s", e.Seq, e.Why) }

const auditPage = 1000

// AuditExport calls f for each entry from seq (1 is the first) on, oldest first, until the end that the trail has when it
// gets there. A broken chain ends it with a *ChainError.
func (s *Service) AuditExport(ctx context.Context, seq uint64, f func(AuditEntry) error) error {
	c := chain{next: max(seq, 1)}
	for {
		page, err := s.auditPage(ctx, &c)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

// AuditVerify checks the whole chain and returns how many entries it has and the hash of the last, which is worth noting
// down elsewhere: a trail cut at its end together with its head can only be told from that.
func (s *Service) AuditVerify(ctx context.Context) (entries uint64, last string, err error) {
	err = s.AuditExport(ctx, 1, func(e AuditEntry) error {
		entries, last = e.Seq, e.Hash
		return nil
	})
	return entries, last, err
}

// auditPage reads and checks up to auditPage entries in one view.
func (s *Service) auditPage(ctx context.Context, c *chain) (page []AuditEntry, err error) {
	err = s.cfg.KV.View(ctx, func(tx store.Txn) error {
		page = page[:0]
		end, _, err := load[head](tx, auditHead)
		if err != nil {
			return err
		}
		walk := *c
		for len(page) < auditPage && walk.next <= end.Seq {
			e, found, err := load[AuditEntry](tx, auditKey(walk.next))
			if err != nil {
				return err
			}
			if err := walk.check(e, found, end); err != nil {
				return err
			}
			page = append(page, e)
		}
		*c = walk
		return checkNothingAfter(tx, end)
	})
	return page, err
}

// checkNothingAfter finds a head that was set back.
func checkNothingAfter(tx store.Txn, end head) error {
	var extra bool
	err := tx.Scan(store.Range{Prefix: auditPrefix, From: auditKey(end.Seq + 1)}, func(string, []byte) bool {
		extra = true
		return false
	})
	if err == nil && extra {
		return &ChainError{Seq: end.Seq + 1, Why: "stands after the end that the head names"}
	}
	return err
}

// chain is a walk along the trail.
type chain struct {
	next uint64
	prev string
}

func (c *chain) check(e AuditEntry, found bool, end head) error {
	if !found {
		return &ChainError{Seq: c.next, Why: "is missing"}
	}
	sum, err := e.sum()
	switch {
	case err != nil:
		return err
	case e.Seq != c.next:
		return &ChainError{Seq: c.next, Why: "says it is another"}
	case sum != e.Hash:
		return &ChainError{Seq: c.next, Why: "was altered"}
	case (c.prev != "" || c.next == 1) && e.Prev != c.prev:
		return &ChainError{Seq: c.next, Why: "does not follow the one before"}
	case e.Seq == end.Seq && e.Hash != end.Hash:
		return &ChainError{Seq: c.next, Why: "is not the last one that the head names"}
	}
	c.next, c.prev = c.next+1, e.Hash
	return nil
}
