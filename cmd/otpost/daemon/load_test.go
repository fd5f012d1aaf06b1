package daemon

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"otpost/driver/sim"
)

// TestLoadWithFaults: sends and verifies arrive at a constant rate while a modem hangs, another is pulled out and put back, the
// portal's webhook endpoint is down and the disk takes its time. Nothing but an honest 503 or 507 is answered beside what was
// asked for, and in the end what was acknowledged, what the ledger says and what the phones got agree. With -soak=2 and more it
// is the rate of the promise, 16 modems, 500 sends and 1,000 verifies a second, once without faults and once with, for 3 s
// times the flag: -soak=20 is the minute.
func TestLoadWithFaults(t *testing.T) {
	if *soak < 2 {
		t.Parallel()
		l := newLoad(t, loadPlan{modems: 4, accounts: 60, sends: 40, verifies: 80, length: 3 * time.Second})
		l.run(l.calamity)
		l.account()
		return
	}
	full := loadPlan{modems: 16, accounts: 1500, sends: 500, verifies: 1000, length: min(time.Minute, time.Duration(*soak)*3*time.Second)}
	measure := func(name string, trouble func(*load)) (p99 time.Duration) {
		t.Run(name, func(t *testing.T) {
			l := newLoad(t, full)
			l.run(func() { trouble(l) })
			l.account()
			p99 = l.judged.percentile(99)
		})
		return p99
	}
	q, f := measure("without faults", func(*load) {}), measure("with faults", (*load).calamity)
	t.Logf("verify p99 %v without faults, %v with", q, f)
	if f > max(50*time.Millisecond, 5*q) {
		t.Errorf("with faults a verify takes %v at p99, want at most 50 ms, or 5 times the %v that this machine needs without", f, q)
	}
}

// loadPlan is how much of what arrives.
type loadPlan struct {
	modems, accounts int
	sends, verifies  int // a second
	length           time.Duration
}

const (
	guesses  = 2                     // wrong ones before the right one
	slowSync = 10 * time.Millisecond // what each commit takes longer: a disk that turns, or an SD card
)

// load is a daemon under load, and what was acknowledged.
type load struct {
	*instance
	plan   loadPlan
	slow   atomic.Bool
	began  uint64      // the newest text before the run
	free   chan string // accounts without a challenge
	ready  chan attempt
	sent   tally
	judged tally

	mu      sync.Mutex         // owns what follows
	open    map[string]attempt // by phone: challenges whose text has not come
	codes   map[string]string  // the last code by phone, where the text was faster than the answer
	acked   []acked
	starved int
}

// attempt is a challenge whose code is known, and how often it was guessed wrong.
type attempt struct {
	account, phone, id, code string
	guessed                  int
}

// acked is a message that was acknowledged.
type acked struct{ id, phone, text string }

// calamity is what goes wrong during a run, each thing for about a third of it.
func (l *load) calamity() {
	network, third := l.daemon.Network(), l.plan.length/3
	l.slow.Store(true)
	for _, f := range []sim.Fault{
		{Kind: sim.Silence, Modem: "sim0", At: sim.BeforePrompt, Sends: 1, For: third},
		{Kind: sim.LostPort, Modem: "sim1", At: sim.AfterSubmit, Sends: 1, For: third},
	} {
		if _, err := network.AddFault(f); err != nil {
			l.t.Error(err)
		}
	}
	<-time.After(2 * third)
	l.slow.Store(false)
}

// run lets requests arrive at the plan's rates while trouble runs, and says how the daemon bore it.
func (l *load) run(trouble func()) {
	l.t.Helper()
	began := time.Now()
	for _, account := range l.accounts() {
		l.free <- account
	}
	l.t.Logf("accounts made in %v", time.Since(began).Round(time.Millisecond))
	collecting, stop := make(chan struct{}), make(chan struct{})
	go func() { defer close(collecting); l.collect(stop) }()
	var g sync.WaitGroup
	g.Go(func() { l.arrive(l.plan.sends, &l.sent, l.from("127.0.0.2"), l.send) })
	g.Go(func() { l.arrive(l.plan.verifies, &l.judged, l.from("127.0.0.3"), l.verify) })
	g.Go(trouble)
	g.Wait()
	close(stop)
	<-collecting
	l.t.Logf("sends:    %s", &l.sent)
	l.t.Logf("verifies: %s; %d had no code to try", &l.judged, l.starved)
	for _, tl := range []*tally{&l.sent, &l.judged} {
		for _, fault := range tl.dishonest() {
			l.t.Error(fault)
		}
	}
}

// arrive calls f at a constant rate, whether or not earlier calls have come back. Latency counts from the instant at which the
// call was to begin.
func (l *load) arrive(rate int, into *tally, from *instance, f func(from *instance, n int) (int, string)) {
	due := make(chan time.Time, rate*int(l.plan.length/time.Second)+1)
	var callers sync.WaitGroup
	var n atomic.Int64
	for range loadCallers {
		callers.Go(func() {
			for at := range due {
				status, code := f(from, int(n.Add(1)))
				into.note(status, code, time.Since(at))
			}
		})
	}
	every := time.Second / time.Duration(rate)
	began := time.Now()
	for at := began; at.Sub(began) < l.plan.length; at = at.Add(every) {
		<-time.After(time.Until(at))
		due <- at
	}
	close(due)
	callers.Wait()
}

// loadCallers is how many calls of a kind can be under way: less than what the daemon takes from one address. So many that calls
// hardly wait for each other here, which would be counted as the daemon's.
const loadCallers = 120

// from is the daemon as called from another address, with connections of its own: a portal has more than one program that calls.
func (l *load) from(address string) *instance {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	in := *l.instance
	pool := &http.Transport{DialContext: dialer.DialContext, MaxConnsPerHost: loadCallers, MaxIdleConnsPerHost: loadCallers}
	in.client = &http.Client{Transport: pool}
	l.t.Cleanup(pool.CloseIdleConnections)
	return &in
}

// send asks for a code for an account that has none, or, every fifth time, sends a plain text.
func (l *load) send(from *instance, n int) (int, string) {
	if n%5 == 0 {
		phone, text := loadPhone(l.plan.accounts+n/5%5000), fmt.Sprintf("load text %d.", n)
		status, answer := from.call("POST", "/v1/messages", body{"to": phone, "text": text, "ttl": "30m"})
		if id, _ := answer["id"].(string); status == 202 {
			l.note(acked{id, phone, text}, attempt{})
		}
		code, _ := answer["code"].(string)
		return status, code
	}
	var account string
	select {
	case account = <-l.free:
	default:
		return statusNone, "no account is free"
	}
	status, answer := from.call("POST", "/v1/challenges", body{"account": account, "purpose": "login"})
	if status != 202 {
		l.free <- account
		code, _ := answer["code"].(string)
		return status, code
	}
	var number int
	if _, err := fmt.Sscanf(account, "load-%d", &number); err != nil {
		l.t.Error(err)
	}
	id, _ := answer["id"].(string)
	message, _ := answer["message"].(map[string]any)
	messageID, _ := message["id"].(string)
	l.note(acked{messageID, loadPhone(number), ""}, attempt{account: account, phone: loadPhone(number), id: id})
	return status, ""
}

// verify tries a code that has come: wrong at first, then right.
func (l *load) verify(from *instance, _ int) (int, string) {
	var a attempt
	select {
	case a = <-l.ready:
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.starved++
		return statusNone, "no code has come"
	}
	code := a.code
	if a.guessed < guesses {
		code = string('0'+(code[0]-'0'+1)%10) + code[1:]
	}
	status, answer := from.call("POST", "/v1/challenges/"+a.id+"/verify", body{"code": code})
	switch {
	case status == 503 || status == 507:
		l.ready <- a
	case a.guessed < guesses && status != 422:
		l.t.Errorf("a wrong code was answered %d %v", status, answer)
	case a.guessed < guesses:
		a.guessed++
		l.ready <- a
	case status != 200:
		l.t.Errorf("a right code was answered %d %v", status, answer)
	default:
		l.free <- a.account
	}
	problem, _ := answer["code"].(string)
	return status, problem
}

// note keeps what was acknowledged, and matches a challenge with its text.
func (l *load) note(m acked, a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, m)
	if a.id == "" {
		return
	}
	if code, ok := l.codes[a.phone]; ok {
		delete(l.codes, a.phone)
		a.code = code
		l.ready <- a
		return
	}
	l.open[a.phone] = a
}

// collect takes the texts from the phones as they come.
func (l *load) collect(stop <-chan struct{}) {
	last := l.began
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for _, m := range l.daemon.Network().Messages(sim.Filter{AfterID: last}) {
			last = max(last, m.ID)
			if m.Code != "" {
				l.came(m)
			}
		}
	}
}

func (l *load) came(m sim.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.open[m.To]
	if !ok {
		l.codes[m.To] = m.Code
		return
	}
	delete(l.open, m.To)
	a.code = m.Code
	l.ready <- a
}
