package daemon

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/driver/sim"
	"otpost/gateway"
	"otpost/gateway/store"
)

// newLoad starts a daemon for plan, whose portal knows every PIN and whose webhook endpoint is down.
func newLoad(t *testing.T, plan loadPlan) *load {
	t.Helper()
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"valid":true}`) }))
	t.Cleanup(portal.Close)
	gone := httptest.NewServer(nil)
	gone.Close() // nobody listens there any more
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))), 0o600); err != nil {
		t.Fatal(err)
	}
	var modems []string
	for i := range plan.Modems {
		modems = append(modems, fmt.Sprintf("{name: sim%d, device: simulator, simulator: {submit_time: 10ms, report_delay: 100ms}}", i))
	}
	l := &load{plan: plan}
	l.instance = startWith(t, dir, fmt.Sprintf(`modems: [%s]
limits: {phone_hour: 0, phone_day: 0, account_day: 0, account_phones_day: 0, client_hour: 0, prefix_day: 0, key_hour: 0, text_phone_hour: 1000000, text_phone_day: 1000000, text_key_day: 1000000}
pin: {mode: portal, url: %q, secret_file: %s, timeout: 20s}
uncertain: {codes: keep}
webhooks: [{url: %q, secret_file: %s, allow_private: true}]
`, strings.Join(modems, ", "), portal.URL, secret, gone.URL, secret), slog.LevelInfo, l.delay)
	l.log.end() // half a minute's would be tens of megabytes, and to make room for them takes the daemon's time
	l.heard.end()
	return l
}

// delay is what the disk takes longer while it is slow.
func (l *load) delay() {
	if l.slow.Load() {
		<-time.After(slowSync)
	}
}

func loadPhone(n int) string   { return fmt.Sprintf("+4477009%05d", n) }
func loadAccount(n int) string { return fmt.Sprintf("load-%d", n) }

// accounts turns SMS codes on for all accounts of the plan, a few at a time.
func (l *load) accounts() {
	l.t.Helper()
	todo := make(chan int)
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			for n := range todo {
				path := "/v1/accounts/" + loadAccount(n) + "/sms/enable"
				status, answer := l.call("POST", path, body{"phone": loadPhone(n)})
				if status != 202 {
					l.t.Errorf("enable: %d %v", status, answer)
					continue
				}
				text := l.text(loadPhone(n), time.Time{})
				if status, answer := l.call("POST", path+"/verify", body{"code": text.Code, "pin": "739154"}); status != 200 {
					l.t.Errorf("enable: %d %v", status, answer)
				}
			}
		})
	}
	for n := range l.plan.Accounts {
		todo <- n
	}
	close(todo)
	g.Wait()
	l.began = l.daemon.Network().Messages(sim.Filter{Limit: 1})[0].ID
}

// account waits until every acknowledged message has come to rest, and compares acknowledgements, ledger and phones: a message
// that went out is on its phone, once; one that did not is not; one of which nobody knows is there at most once.
func (l *load) account() {
	l.t.Helper()
	began := time.Now()
	type count struct{ got, least, most int }
	phones := map[string]*count{}
	of := func(key string) *count {
		if phones[key] == nil {
			phones[key] = &count{}
		}
		return phones[key]
	}
	states := map[gateway.Status]int{}
	for _, m := range l.calls.Acked {
		final := l.rest(m.ID)
		states[final.Status]++
		c := of(m.Phone + m.Text)
		switch final.Status {
		case gateway.Sent, gateway.Delivered:
			c.least++
			c.most++
		case gateway.Uncertain, gateway.Undelivered:
			c.most++
		}
	}
	l.daemon.Network().ClearFaults()
	for _, m := range l.daemon.Network().Messages(sim.Filter{AfterID: l.began}) {
		if text := m.Text; m.Code == "" {
			of(m.To+text).got++
		} else {
			of(m.To).got++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(phones)) {
		if c := phones[key]; c.got < c.least || c.got > c.most {
			l.t.Errorf("%s got %d texts, want %d to %d", key, c.got, c.least, c.most)
		}
	}
	l.t.Logf("%d acknowledged, states %v, at rest after %v", len(l.calls.Acked), states, time.Since(began).Round(time.Millisecond))
	if answered := len(l.calls.Sent.Took); len(l.calls.Acked)*10 < answered*9 {
		l.t.Errorf("only %d of %d sends were taken", len(l.calls.Acked), answered)
	}
}

// rest waits until a message is neither queued nor with a modem.
func (l *load) rest(id string) (m gateway.Message) {
	l.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		err := l.daemon.kv.View(l.t.Context(), func(tx store.Txn) (err error) {
			m, err = l.daemon.queue.Lookup(tx, id)
			return err
		})
		if err != nil {
			l.t.Fatalf("message %s was acknowledged and is gone: %v", id, err)
		}
		if m.Status != gateway.Queued && m.Status != gateway.Sending {
			return m
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("message %s is still %s", id, m.Status)
		}
	}
}

const (
	statusNone   = 0  // of a call that was not made
	statusBroken = -1 // of one that was not answered
)

// tally is what calls of one kind were answered, and how late.
type tally struct {
	mu       sync.Mutex // owns what follows
	Statuses map[string]int
	Took     []time.Duration
}

func (y *tally) note(status int, code string, took time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.Statuses == nil {
		y.Statuses = map[string]int{}
	}
	y.Statuses[strings.TrimSpace(fmt.Sprintf("%d %s", status, code))]++
	if status != statusNone {
		y.Took = append(y.Took, took)
	}
}

// dishonest are the answers of the server's fault that do not say what is wrong and when to come again.
func (y *tally) dishonest() []string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var all []string
	for answer, n := range y.Statuses {
		switch answer {
		case "503 no-capacity", "503 no-modem", "507 storage-low":
		default:
			if strings.HasPrefix(answer, "5") || strings.HasPrefix(answer, "429") {
				all = append(all, fmt.Sprintf("%d answers were %s", n, answer))
			}
		}
	}
	return all
}

func (y *tally) percentile(p int) time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.Took) == 0 {
		return 0
	}
	all := slices.Sorted(slices.Values(y.Took))
	return all[min(len(all)-1, len(all)*p/100)]
}

func (y *tally) String() string {
	p50, p95, p99, most := y.percentile(50), y.percentile(95), y.percentile(99), y.percentile(100)
	y.mu.Lock()
	defer y.mu.Unlock()
	return fmt.Sprintf("%d, p50 %v p95 %v p99 %v most %v, answers %v", len(y.Took), p50.Round(10*time.Microsecond),
		p95.Round(10*time.Microsecond), p99.Round(10*time.Microsecond), most.Round(10*time.Microsecond), y.Statuses)
}
