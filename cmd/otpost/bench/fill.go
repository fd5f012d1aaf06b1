package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
)

// A store is filled with copies of one text that went the whole way through the real queue, from acceptance to its
// delivery report: every record that the queue left of it, under other ids and for other phones, spread over the past
// month as a month's traffic is. Only what is collected within a day (where reports find their message) is left out.
const (
	fillSpan  = 29 * 24 * time.Hour
	fillBatch = 256 // messages a transaction
	fillTo    = 0   // whose phone the original goes to
)

// relic is a record that a message left.
type relic struct {
	key   string
	value []byte
}

// original is a message with all that it left, and the ids in it that a copy needs anew.
type original struct {
	relics []relic
	ids    []string
}

// fill adds n delivered texts to the store in dir, or only makes it.
func fill(ctx context.Context, dir string, n int) error {
	m := newInstantModem(0)
	h, err := openHouse(ctx, dir, m)
	if err != nil {
		return err
	}
	if n > 0 {
		err = h.fill(ctx, m, n)
	}
	return errors.Join(err, h.kv.Close())
}

func (h *house) fill(ctx context.Context, m *instantModem, n int) error {
	id, err := h.deliver(ctx, m)
	if err != nil {
		return err
	}
	o, err := h.original(ctx, id)
	if err != nil {
		return err
	}
	began := time.Now().Add(-fillSpan)
	step := fillSpan / time.Duration(n)
	for i := 0; i < n; {
		batch := min(fillBatch, n-i)
		err := h.kv.Update(ctx, func(tx store.Txn) error {
			for k := range batch {
				if err := o.copy(tx, began.Add(step*time.Duration(i+k)), accountPhone(i+k)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		i += batch
	}
	return nil
}

// deliver sends one text through the queue and waits for its end.
func (h *house) deliver(ctx context.Context, m *instantModem) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.queue.Run(gctx) })
	var sent gateway.Message
	group.Go(func() error {
		defer cancel()
		now := time.Now()
		err := h.kv.Update(gctx, func(tx store.Txn) (err error) {
			sent, err = h.queue.Enqueue(tx, now, gateway.Draft{
				To: accountPhone(fillTo), Country: "GB", Kind: gateway.KindText, Lane: gateway.LaneText,
				Text: "one of many", NotAfter: now.Add(24 * time.Hour),
			})
			return err
		})
		if err != nil {
			return err
		}
		select {
		case r := <-m.reports:
			return h.queue.Report(gctx, m.name, r)
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	return sent.ID, group.Wait()
}

// original collects what a message left, and checks that nothing is missing.
func (h *house) original(ctx context.Context, id string) (original, error) {
	o := original{ids: []string{id}}
	err := h.kv.View(ctx, func(tx store.Txn) error {
		m, err := h.queue.Lookup(tx, id)
		if err != nil || m.Status != gateway.Delivered {
			return errors.Join(err, fmt.Errorf("the original is %s", m.Status))
		}
		return tx.Scan(store.Range{Prefix: "gw/"}, func(key string, value []byte) bool {
			switch {
			case strings.HasPrefix(key, "gw/ref/"): // collected within a day
			case strings.HasPrefix(key, "gw/evt/") && bytes.Contains(value, []byte(id)):
				o.ids = append(o.ids, strings.TrimPrefix(key, "gw/evt/"))
				o.relics = append(o.relics, relic{key, value})
			case strings.HasSuffix(key, id):
				o.relics = append(o.relics, relic{key, value})
			}
			return true
		})
	})
	if err == nil && len(o.relics) < 3 {
		err = fmt.Errorf("a delivered text left %d records, not itself and two events", len(o.relics))
	}
	return o, err
}

// copy writes the records of one more message.
func (o original) copy(tx store.Txn, at time.Time, to string) error {
	fresh := make([]string, len(o.ids))
	for i, old := range o.ids {
		var err error
		if fresh[i], err = store.NewID(old[:strings.Index(old, "_")+1], at, rand.Reader); err != nil {
			return err
		}
	}
	for _, r := range o.relics {
		value := bytes.ReplaceAll(r.value, []byte(accountPhone(fillTo)), []byte(to))
		for i, old := range o.ids {
			r.key = strings.Replace(r.key, old, fresh[i], 1)
			value = bytes.ReplaceAll(value, []byte(old), []byte(fresh[i]))
		}
		if err := tx.Set(r.key, value, at.Add(fillSpan+48*time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// instantModem accepts everything at once and keeps the report of each text for whoever wants to deliver it.
type instantModem struct {
	name, iccid string
	ref         atomic.Uint32
	reports     chan driver.Report // those that fit
}

var _ gateway.Modem = (*instantModem)(nil)

func newInstantModem(i int) *instantModem {
	return &instantModem{name: fmt.Sprintf("instant%d", i), iccid: fmt.Sprintf("89440000000000%05d", i), reports: make(chan driver.Report, 64)}
}

// Name implements gateway.Modem.
func (m *instantModem) Name() string { return m.name }

// Status implements gateway.Modem.
func (m *instantModem) Status() driver.Status {
	return driver.Status{Name: m.name, State: driver.StateReady, ICCID: m.iccid, Registration: "home", Reports: true, LastGood: time.Now()}
}

// Send implements gateway.Modem.
func (m *instantModem) Send(_ context.Context, s driver.Submit) driver.Result {
	now := time.Now()
	ref := uint8(m.ref.Add(1))
	select {
	case m.reports <- driver.Report{ICCID: m.iccid, Reference: ref, Recipient: s.To, Sent: now, At: now}:
	default:
	}
	return driver.Result{Outcome: driver.Accepted, References: []uint8{ref}, Parts: 1, ICCID: m.iccid, Submitted: now, Done: now}
}
