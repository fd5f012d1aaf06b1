package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
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
//
// The copies are loaded into the engine's tables as they lie when a month's merging has been done; updates would take
// longer than all the rest of a run.
const (
	fillSpan   = 29 * 24 * time.Hour
	fillSlices = 4 // pieces of the month that are prepared side by side
	fillTo     = 0 // whose phone the original goes to
)

// relic is a record that a message left.
type relic struct{ key, value form }

// original is a message with all that it left.
type original struct {
	families [][]relic // those whose keys differ only in the ids, which their keys end with
	fields   []string  // what a copy has instead of: the ids, and at last the phone
}

// fill makes a store in dir with n delivered texts.
func fill(ctx context.Context, dir string, n int) error {
	o, err := textThatWas(ctx, dir+".original")
	if err != nil {
		return err
	}
	cfg, err := storeIn(dir)
	if err != nil {
		return err
	}
	began, step := time.Now().Add(-fillSpan), fillSpan/time.Duration(max(1, n))
	var runs []iter.Seq[store.Item]
	for _, family := range o.families {
		for slice := range fillSlices {
			from, to := n*slice/fillSlices, n*(slice+1)/fillSlices
			runs = append(runs, func(yield func(store.Item) bool) {
				for i := from; i < to; i++ {
					for _, item := range o.copy(family, i, began.Add(step*time.Duration(i))) {
						if !yield(item) {
							return
						}
					}
				}
			})
		}
	}
	return store.LoadBadger(ctx, cfg, runs...)
}

// textThatWas has a text delivered in a house of its own, which is gone then.
func textThatWas(ctx context.Context, dir string) (o original, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	m := newInstantModem(0)
	h, err := openHouse(ctx, dir, m)
	if err != nil {
		return o, err
	}
	id, err := h.deliver(ctx, m)
	if err == nil {
		o, err = h.original(ctx, id)
	}
	return o, errors.Join(err, h.kv.Close())
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
	o := original{fields: []string{id}}
	var left []store.Item
	err := h.kv.View(ctx, func(tx store.Txn) error {
		m, err := h.queue.Lookup(tx, id)
		if err != nil || m.Status != gateway.Delivered {
			return errors.Join(err, fmt.Errorf("the original is %s", m.Status))
		}
		return tx.Scan(store.Range{Prefix: "gw/"}, func(key string, value []byte) bool {
			switch {
			case strings.HasPrefix(key, "gw/ref/"): // collected within a day
			case strings.HasPrefix(key, "gw/evt/") && bytes.Contains(value, []byte(id)):
				o.fields = append(o.fields, strings.TrimPrefix(key, "gw/evt/"))
				left = append(left, store.Item{Key: key, Value: value})
			case strings.HasSuffix(key, id):
				left = append(left, store.Item{Key: key, Value: value})
			}
			return true
		})
	})
	if err == nil && len(left) < 3 {
		err = fmt.Errorf("a delivered text left %d records, not itself and two events", len(left))
	}
	o.fields = append(o.fields, accountPhone(fillTo))
	o.sort(left)
	return o, err
}

// sort makes families of the records, whose keys ascend, by what comes before the id.
func (o *original) sort(left []store.Item) {
	last := ""
	for _, r := range left {
		before := r.Key[:strings.LastIndexByte(r.Key, '_')]
		if before != last {
			o.families = append(o.families, nil)
		}
		last = before
		f := &o.families[len(o.families)-1]
		*f = append(*f, relic{formOf(r.Key, o.fields), formOf(string(r.Value), o.fields)})
	}
}

// copy returns what a family is in message number i, in the order of its keys. The ids follow from the number, so that all
// records of a message agree.
func (o *original) copy(family []relic, i int, at time.Time) []store.Item {
	fresh := make([]string, len(o.fields))
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(i))
	random := rand.NewChaCha8(seed)
	ids := len(o.fields) - 1
	for k, old := range o.fields[:ids] {
		var err error
		if fresh[k], err = store.NewID(old[:strings.IndexByte(old, '_')+1], at, random); err != nil {
			panic(err) // only of a source of random that fails, or a clock that is wrong by ages
		}
	}
	fresh[ids] = accountPhone(i)
	items := make([]store.Item, len(family))
	for k, r := range family {
		items[k] = store.Item{Key: string(r.key.with(fresh)), Value: r.value.with(fresh), Collect: at.Add(fillSpan + 48*time.Hour)}
	}
	slices.SortFunc(items, func(a, b store.Item) int { return strings.Compare(a.Key, b.Key) })
	return items
}

// form is a text with fields to be filled in: each behind the piece of text of the same number.
type form struct {
	text   []string
	fields []int
}

// formOf takes the fields out of a text.
func formOf(s string, fields []string) (f form) {
	for {
		at, which := len(s), -1
		for k, field := range fields {
			if i := strings.Index(s, field); i >= 0 && i < at {
				at, which = i, k
			}
		}
		f.text = append(f.text, s[:at])
		if which < 0 {
			return f
		}
		f.fields = append(f.fields, which)
		s = s[at+len(fields[which]):]
	}
}

// with is the text with its fields filled in.
func (f form) with(fields []string) []byte {
	b := make([]byte, 0, 1024)
	for k, text := range f.text {
		b = append(b, text...)
		if k < len(f.fields) {
			b = append(b, fields[f.fields[k]]...)
		}
	}
	return b
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
