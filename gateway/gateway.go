package gateway

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"otpost/driver"
	"otpost/gateway/store"
)

// Config is what a Gateway works with.
type Config struct {
	KV       store.KV
	Secrets  *store.Secrets
	Render   Renderer
	Random   io.Reader
	Log      *slog.Logger
	Registry prometheus.Registerer
	StoreLow func() bool // free space is below the reserve; nil: never
}

// Route is a modem and what may go through it.
type Route struct {
	Modem     Modem
	Prefixes  []string // "+44"; empty: any
	PerMinute int      // 0: the modem's own pace
	PerDay    int      // 0: no limit
}

// Gateway is the queue. It is safe for concurrent use. It is also the driver.Handler of its modems and otp's Outbox.
type Gateway struct{ cfg Config }

// New returns a gateway; it starts nothing. Attach every modem before Run.
func New(cfg Config) (*Gateway, error) { return &Gateway{cfg}, nil }

// Attach adds a modem; only before Run.
func (g *Gateway) Attach(r Route) error { panic("not yet") }

// Run recovers what an earlier run left (sending becomes uncertain), then sends until ctx is done and all hand-overs
// have ended.
func (g *Gateway) Run(ctx context.Context) error { panic("not yet") }

// Ready is closed when the queue has been read from the store and sending has begun.
func (g *Gateway) Ready() <-chan struct{} { panic("not yet") }

func (g *Gateway) Enqueue(tx store.Txn, now time.Time, m Draft) (Message, error) { panic("not yet") }
func (g *Gateway) Cancel(tx store.Txn, now time.Time, id string) error           { panic("not yet") }
func (g *Gateway) Lookup(tx store.Txn, id string) (Message, error)               { panic("not yet") }
func (g *Gateway) Emit(tx store.Txn, now time.Time, e Event) error               { panic("not yet") }
func (g *Gateway) Erase(tx store.Txn, now time.Time, account string) error       { panic("not yet") }

// Filter chooses messages; newest first.
type Filter struct {
	Status Status // empty: any
	Limit  int    // 0: 50
	Cursor string // from the page before
}

// Messages returns a page and the cursor of the next (empty: none).
func (g *Gateway) Messages(ctx context.Context, f Filter) ([]Message, string, error) {
	panic("not yet")
}

// InboxItem is one inbound text as stored.
type InboxItem struct {
	ID, Modem, From, Text string
	Sent, At              time.Time
}

// Inbox returns inbound texts, newest first.
func (g *Gateway) Inbox(ctx context.Context, limit int, cursor string) ([]InboxItem, string, error) {
	panic("not yet")
}

// Events calls f for each event after id (empty: from now on) as they are committed, until ctx is done or f fails.
func (g *Gateway) Events(ctx context.Context, after string, f func(Event) error) error {
	panic("not yet")
}

// ModemView is a modem as the gateway sees it.
type ModemView struct {
	driver.Status
	Paused      bool
	Quarantined string // why, empty: not
	Queue       int    // messages that only wait for it
	SentToday   int
	DayLeft     int // -1: no limit
	MinuteLeft  int // -1: no limit
}

// Modems lists the modems in the order they were attached.
func (g *Gateway) Modems(ctx context.Context) ([]ModemView, error) { panic("not yet") }

// Pause and Resume take a modem out of routing and back; durable.
func (g *Gateway) Pause(ctx context.Context, name string) error  { panic("not yet") }
func (g *Gateway) Resume(ctx context.Context, name string) error { panic("not yet") }

// Report, Inbound and Changed make Gateway the driver.Handler of its modems.
func (g *Gateway) Report(ctx context.Context, modem string, r driver.Report) error { panic("not yet") }
func (g *Gateway) Inbound(ctx context.Context, modem string, in driver.Inbound) error {
	panic("not yet")
}
func (g *Gateway) Changed(s driver.Status) { panic("not yet") }

var _ driver.Handler = (*Gateway)(nil)
