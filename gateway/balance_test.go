package gateway

import (
	"context"
	"errors"
	"math"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"otpost/driver"
)

// A fakeTeller is a modem that tells its SIM's balance after a time, or fails to.
type fakeTeller struct {
	*fakeModem
	mu     sync.Mutex
	answer string // empty: none
	took   time.Duration
	asked  []time.Time
	codes  []string
}

func (f *fakeTeller) USSD(ctx context.Context, code string) (string, error) {
	f.mu.Lock()
	f.asked, f.codes = append(f.asked, time.Now()), append(f.codes, code)
	answer, took := f.answer, f.took
	f.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if answer == "" {
		return "", errors.New("no answer from the network")
	}
	return answer, nil
}

func (f *fakeTeller) says(answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeTeller) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.asked...)
}

// balanced is a bench of n modems, the first of which tells its balance.
func balanced(n int, f *fakeTeller, reg *prometheus.Registry) func(*testing.T) *bench {
	return func(t *testing.T) *bench {
		b := newBench(t, n)
		b.config = func(c *Config) { c.Registry = reg }
		f.fakeModem = b.modems[0]
		b.route = func(r *Route) {
			if r.Modem.Name() == "m0" {
				r.Modem, r.Balance = f, Balance{Code: "*100#", Every: time.Hour}
			}
		}
		return b
	}
}

// The balance is asked for at once when a modem is idle and then once an interval, shown with its time and in the metrics, and
// not shown any more when the network has not told it for long, or the SIM is another one.
func TestBalance(t *testing.T) {
	f, reg := &fakeTeller{answer: "Your balance is EUR 12,50.", took: 3 * time.Second}, prometheus.NewRegistry()
	inBubble(t, balanced(2, f, reg), func(t *testing.T, b *bench) {
		if v := b.view(0); !math.IsNaN(v.Balance) || !v.BalanceAt.IsZero() {
			t.Errorf("balance %v at %v before anybody asked", v.Balance, v.BalanceAt)
		}
		sleep(2 * time.Minute)
		if v := b.view(0); v.Balance != 12.5 || time.Since(v.BalanceAt) > 2*time.Minute {
			t.Errorf("balance %v at %v", v.Balance, v.BalanceAt)
		}
		if v := b.view(1); !math.IsNaN(v.Balance) {
			t.Errorf("the other modem has a balance: %v", v.Balance)
		}
		if n, err := testutil.GatherAndCount(reg, "otpost_modem_balance"); n != 1 || err != nil {
			t.Errorf("%d balances in the metrics, %v", n, err)
		}
		sleep(10 * time.Hour)
		if n := len(f.times()); n < 10 || n > 11 || f.codes[0] != "*100#" {
			t.Errorf("asked %d times in ten hours: %v", n, f.codes)
		}
		f.says("")
		sleep(2 * time.Hour)
		if v := b.view(0); v.Balance != 12.5 {
			t.Errorf("balance %v two hours after the last answer", v.Balance)
		}
		sleep(3 * time.Hour)
		if v := b.view(0); !math.IsNaN(v.Balance) {
			t.Errorf("balance %v five hours after the last answer", v.Balance)
		}
		f.says("-3")
		sleep(time.Hour + time.Minute)
		if v := b.view(0); v.Balance != -3 {
			t.Errorf("balance %v", v.Balance)
		}
		f.fakeModem.mu.Lock()
		f.iccid = "8944another"
		f.fakeModem.mu.Unlock()
		f.says("99")
		b.g.Changed(f.Status())
		synctest.Wait()
		if v := b.view(0); !math.IsNaN(v.Balance) {
			t.Errorf("balance %v of a SIM that nobody asked", v.Balance)
		}
		sleep(2 * time.Minute)
		if v := b.view(0); v.Balance != 99 {
			t.Errorf("balance %v of the new SIM", v.Balance)
		}
	})
}

// Nobody is asked while anything waits that the modem may send, or is being sent, and a code that comes meanwhile waits for
// nothing: it takes the other modem, or this one if there is no other.
func TestBalanceIsInNobodysWay(t *testing.T) {
	for _, n := range []int{1, 2} {
		f := &fakeTeller{answer: "5", took: 30 * time.Second}
		inBubble(t, balanced(n, f, prometheus.NewRegistry()), func(t *testing.T, b *bench) {
			for range 20 { // busy for ten minutes
				b.enqueue(code(alice, 5*time.Minute))
				b.enqueue(text(bob, "hello"))
				sleep(9 * time.Second)
				b.enqueue(code(alice, 5*time.Minute))
				b.enqueue(text(bob, "hello"))
				sleep(9 * time.Second)
			}
			if asked := f.times(); n == 1 && len(asked) > 0 {
				t.Errorf("asked at %v while there was something to send", asked)
			}
			for range 120 { // until it is being asked
				if asked := f.times(); len(asked) > 0 && time.Since(asked[len(asked)-1]) < f.took {
					break
				}
				sleep(time.Second)
			}
			if len(f.times()) == 0 {
				t.Fatal("never asked")
			}
			m := b.message(b.enqueue(code(alice, 5*time.Minute)))
			sleep(2 * time.Second)
			m = b.wantStatus(m.ID, Sent)
			if wait := m.Attempts[0].ClaimedAt.Sub(m.CreatedAt); wait > 0 {
				t.Errorf("a code waited %v for a balance", wait)
			}
			if want := []string{"m0", "m1"}[n-1]; m.Attempts[0].Modem != want {
				t.Errorf("the code went by %s, want %s", m.Attempts[0].Modem, want)
			}
		})
	}
}

// A network that does not answer, or with something else, is asked less and less, and a modem that is not ready not at all.
func TestBalanceThatIsNotTold(t *testing.T) {
	f, reg := &fakeTeller{took: time.Second}, prometheus.NewRegistry()
	inBubble(t, balanced(1, f, reg), func(t *testing.T, b *bench) {
		b.modems[0].set(b.g, driver.StateSearching)
		sleep(time.Hour)
		if n := len(f.times()); n != 0 {
			t.Errorf("asked %d times without a network", n)
		}
		b.modems[0].set(b.g, driver.StateReady)
		sleep(time.Hour) // 0, 5, 15, 35 min
		if n := len(f.times()); n != 4 {
			t.Errorf("asked %d times in an hour without an answer, want 4", n)
		}
		f.says("We could not process your request")
		sleep(10 * time.Hour)
		if n := len(f.times()); n < 10 || n > 15 {
			t.Errorf("asked %d times in eleven hours", n)
		}
		if got := testutil.ToFloat64(b.g.metrics.balances.WithLabelValues("m0", "no-answer")); got != 4 {
			t.Errorf("%v questions without an answer are counted", got)
		}
		if got := testutil.ToFloat64(b.g.metrics.balances.WithLabelValues("m0", "no-amount")); got < 6 {
			t.Errorf("%v answers without an amount are counted", got)
		}
	})
}

func TestParseAmount(t *testing.T) {
	for s, want := range map[string]float64{
		"12": 12, "12.50": 12.5, "12,50": 12.5, "1.234,50": 1234.5, "1,234.50": 1234.5, "1'234.50": 1234.5, "1,234": 1234, "1.234": 1.234,
		"12.50.": 12.5, "1.234.567": 1234567, "-3": -3, "1,234,567": 1234567, "1,5": 1.5, "0": 0, "1 234,50": 1234.5, "0.00": 0,
	} {
		if got, ok := parseAmount(s); !ok || got != want {
			t.Errorf("parseAmount(%q) = %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", ".", "EUR", "1e999", "--1", "NaN", "Inf", "1-2"} {
		if got, ok := parseAmount(s); ok {
			t.Errorf("parseAmount(%q) = %v", s, got)
		}
	}
	b := Balance{Pattern: regexp.MustCompile(`Main: ([0-9.]+)`)}
	if got, ok := b.amount("Bonus: 3.00, Main: 7.25"); !ok || got != 7.25 {
		t.Errorf("amount = %v, %v", got, ok)
	}
}

func TestBadBalances(t *testing.T) {
	net := &fakeNet{}
	for name, r := range map[string]Route{
		"no code":     {Modem: &fakeTeller{fakeModem: newFakeModem("a", net)}, Balance: Balance{Code: "call me"}},
		"too often":   {Modem: &fakeTeller{fakeModem: newFakeModem("a", net)}, Balance: Balance{Code: "*100#", Every: time.Minute}},
		"two groups":  {Modem: &fakeTeller{fakeModem: newFakeModem("a", net)}, Balance: Balance{Code: "*100#", Pattern: regexp.MustCompile(`(a)(b)`)}},
		"cannot dial": {Modem: newFakeModem("a", net), Balance: Balance{Code: "*100#"}},
	} {
		var invalid *InvalidError
		if err := newBench(t, 0).build().Attach(r); !errors.As(err, &invalid) || invalid.Field != "balance" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
