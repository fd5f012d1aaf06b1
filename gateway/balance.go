package gateway

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"otpost/driver"
)

// The credit of prepaid SIMs is asked for by USSD, now and then, while its modem has nothing to do. What the network answers is
// read for one number and forgotten; it is neither kept nor logged.

// Balance is how the credit of a modem's SIM is asked for.
type Balance struct {
	Code    string         // such as "*100#"; empty: it is not asked for
	Pattern *regexp.Regexp // finds the amount in the answer: its group, or all of it; nil: the first number
	Every   time.Duration  // 0: 6 h
}

// A Teller is a modem that dials service codes. Sends go on while it waits for the answer. *driver.Modem is one.
type Teller interface {
	USSD(ctx context.Context, code string) (string, error)
}

var _ Teller = (*driver.Modem)(nil)

const (
	defaultBalanceEvery  = 6 * time.Hour
	shortestBalanceEvery = 10 * time.Minute
	balanceLook          = time.Minute      // between two looks whether it is time to ask
	balanceQuiet         = 10 * time.Second // without a hand-over before a modem is asked
	balancePatience      = 45 * time.Second // for one answer
	balanceRetry         = 5 * time.Minute  // after a question that came to nothing, then twice as long each time
	balanceStale         = 3                // intervals after which an amount is no longer shown
)

// A balanceState is what is known of one SIM's credit.
type balanceState struct {
	sim      string
	amount   float64
	at       time.Time // of the amount; zero: there is none
	tried    time.Time
	failures int  // in a row
	asking   bool // a question is under way: other modems go first
}

var (
	ussdForm    = regexp.MustCompile(`^[0-9*#+]{1,64}$`)
	firstNumber = regexp.MustCompile(`-?[0-9][0-9.,']*`)
)

func (b *Balance) fill(m Modem) error {
	if b.Code == "" {
		return nil
	}
	bad := func(format string, args ...any) error {
		return &InvalidError{"balance", fmt.Sprintf(format, args...) + " (modem " + m.Name() + ")"}
	}
	orElse(&b.Every, defaultBalanceEvery)
	if b.Pattern == nil {
		b.Pattern = firstNumber
	}
	_, tells := m.(Teller)
	switch {
	case !tells:
		return bad("the modem dials no service codes")
	case !ussdForm.MatchString(b.Code):
		return bad("%q is no service code: digits, * and # such as *100#", b.Code)
	case b.Every < shortestBalanceEvery:
		return bad("every %v is too often: at least %v", b.Every, shortestBalanceEvery)
	case b.Pattern.NumSubexp() > 1:
		return bad("the pattern has %d groups: one, around the amount", b.Pattern.NumSubexp())
	}
	return nil
}

// amount finds the credit in the network's answer.
func (b *Balance) amount(answer string) (float64, bool) {
	found := b.Pattern.FindStringSubmatch(answer)
	if found == nil {
		return 0, false
	}
	return parseAmount(found[len(found)-1])
}

// parseAmount reads a number as people write it: 12.50, 12,50, 1.234,50, 1'234.50. A single comma with three digits behind
// it is a thousand's.
func parseAmount(s string) (float64, bool) {
	s = strings.TrimRight(strings.NewReplacer(" ", "", "\u00a0", "", "'", "").Replace(s), ".,")
	point := strings.LastIndexAny(s, ".,")
	if point >= 0 {
		mark := s[point : point+1]
		if strings.Count(s, mark) > 1 || mark == "," && !strings.Contains(s, ".") && len(s)-point-1 == 3 {
			point = len(s)
		}
		whole := strings.NewReplacer(".", "", ",", "").Replace(s[:point])
		if s = whole + strings.Replace(s[point:], ",", ".", 1); s == "" {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
}

// askBalances asks for the credit of a modem's SIM when it is time and the modem is idle, until ctx is done.
func (g *Gateway) askBalances(ctx context.Context, m *modemState, t Teller) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(balanceLook):
		}
		sim, ask := g.mayAsk(m, time.Now())
		if !ask {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, balancePatience)
		answer, err := t.USSD(asking, m.route.Balance.Code)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		g.told(m, sim, answer, err)
	}
}

// mayAsk says whether the modem should be asked now: it is time, the modem has been idle for a while, and nothing waits that
// it could send.
func (g *Gateway) mayAsk(m *modemState, now time.Time) (sim string, ask bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, every := &m.balance, m.route.Balance.Every
	if sim = m.simID(); b.sim != sim {
		*b = balanceState{sim: sim}
	}
	pause := every
	if b.failures > 0 {
		pause = backoff(balanceRetry, every, b.failures)
	}
	busy := m.status.State != driver.StateReady || m.current != nil || now.Sub(m.lastUsed) < balanceQuiet || g.queue.waiting(m.bit())
	if busy || !b.tried.IsZero() && now.Sub(b.tried) < pause {
		return sim, false
	}
	b.tried, b.asking = now, true
	return sim, true
}

// told takes the answer about a SIM.
func (g *Gateway) told(m *modemState, sim, answer string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := &m.balance
	b.asking = false
	g.wakeAll()
	amount, found := m.route.Balance.amount(answer)
	outcome := "ok"
	switch {
	case m.simID() != sim: // changed while it was asked: nobody knows whose answer it is
		outcome = "sim-changed"
	case err != nil:
		outcome = "no-answer"
		g.cfg.Log.Warn("balance was not told", "modem", m.name, "error", err)
	case !found:
		outcome = "no-amount"
		g.cfg.Log.Warn("answer about the balance has no amount where its pattern looks: dial the code with otpost modem ussd", "modem", m.name)
	}
	g.metrics.balances.WithLabelValues(m.name, outcome).Inc()
	if outcome != "ok" {
		b.failures++
		return
	}
	b.failures, b.amount, b.at = 0, amount, time.Now()
}

// credit returns the SIM's balance and when it was told; a zero time: it is not known, or was told too long ago. The caller
// holds mu.
func (m *modemState) credit(now time.Time) (float64, time.Time) {
	b := &m.balance
	if b.at.IsZero() || b.sim != m.simID() || now.Sub(b.at) > balanceStale*m.route.Balance.Every {
		return math.NaN(), time.Time{}
	}
	return b.amount, b.at
}

// asked is 1 while the modem is being asked for its balance.
func (m *modemState) asked() int {
	if m.balance.asking {
		return 1
	}
	return 0
}
