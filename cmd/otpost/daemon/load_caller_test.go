package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The calls of the load test come from a process of its own, as a portal's do. From the daemon's they would wait for its
// goroutines and its collector, and be what those wait for.

// callerEnv has this program be the caller and not the tests.
const callerEnv = "OTPOST_TEST_CALLER"

func TestMain(m *testing.M) {
	if os.Getenv(callerEnv) == "" {
		os.Exit(m.Run())
	}
	if err := call(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "caller:", err)
		os.Exit(1)
	}
}

// order is what the caller is told first.
type order struct {
	Base, Token string
	Dir         string // on the daemon's disk
	Plan        loadPlan
}

// codeText is a text with a code, of which the caller is told as it comes.
type codeText struct{ Phone, Code string }

// called is what the caller tells in the end.
type called struct {
	Sent, Judged tally
	Synced       tally // what the disk itself takes meanwhile
	Acked        []acked
	Starved      int      // verifies for which no code had come
	Wrong        []string // answers that should not have been given
}

// acked is a message that was acknowledged; Text is of a plain one.
type acked struct{ ID, Phone, Text string }

// caller calls.
type caller struct {
	order
	free  chan string // accounts without a challenge
	ready chan attempt

	mu    sync.Mutex         // owns what follows
	open  map[string]attempt // by phone: challenges whose text has not come
	codes map[string]string  // the last code by phone, where the text was faster than the answer
	calls called
}

// attempt is a challenge whose code is known, and how often it was guessed wrong.
type attempt struct {
	account, phone, id, code string
	guessed                  int
}

const guesses = 2 // wrong ones before the right one

// call reads an order and the texts that come, and writes what it came to.
func call(in io.Reader, out io.Writer) error {
	told := json.NewDecoder(in)
	c := &caller{open: map[string]attempt{}, codes: map[string]string{}}
	if err := told.Decode(&c.order); err != nil {
		return err
	}
	c.free, c.ready = make(chan string, c.Plan.Accounts), make(chan attempt, c.Plan.Accounts)
	for n := range c.Plan.Accounts {
		c.free <- loadAccount(n)
	}
	go func() {
		for m := (codeText{}); told.Decode(&m) == nil; {
			c.came(m)
		}
	}()
	var g sync.WaitGroup
	g.Go(func() { c.arrive(c.Plan.Sends, &c.calls.Sent, clientFrom("127.0.0.2"), c.send) })
	g.Go(func() { c.arrive(c.Plan.Verifies, &c.calls.Judged, clientFrom("127.0.0.3"), c.verify) })
	g.Go(func() {
		if err := c.sync(); err != nil {
			c.wrong("sync: %v", err)
		}
	})
	g.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return json.NewEncoder(out).Encode(&c.calls)
}

// loadCallers is how many calls of a kind can be under way: less than what the daemon takes from one address. So many that calls
// hardly wait for each other here, which would be counted as the daemon's.
const loadCallers = 120

// clientFrom calls from an address, with connections of its own: a portal has more than one program that calls.
func clientFrom(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext, MaxConnsPerHost: loadCallers, MaxIdleConnsPerHost: loadCallers,
	}}
}

// arrive calls f at a constant rate, whether or not earlier calls have come back. Latency counts from the instant at which the
// call was to begin.
func (c *caller) arrive(rate int, into *tally, client *http.Client, f func(client *http.Client, n int) (int, string)) {
	due := make(chan time.Time, rate*int(c.Plan.Length/time.Second)+1)
	var callers sync.WaitGroup
	var n atomic.Int64
	for range loadCallers {
		callers.Go(func() {
			for at := range due {
				status, code := f(client, int(n.Add(1)))
				into.note(status, code, time.Since(at))
			}
		})
	}
	every := time.Second / time.Duration(rate)
	began := time.Now()
	for at := began; at.Sub(began) < c.Plan.Length; at = at.Add(every) {
		<-time.After(time.Until(at))
		due <- at
	}
	close(due)
	callers.Wait()
}

const syncEvery = 20 * time.Millisecond

// sync measures the disk beside the daemon: a few bytes of a file that has its blocks are written and synced, at a constant
// rate. Latency counts from the instant at which a turn was to begin, so that a disk that stands still once for long counts
// for as long.
func (c *caller) sync() error {
	f, err := os.CreateTemp(c.Dir, "sync")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	began := time.Now()
	for at := began; at.Sub(began) < c.Plan.Length; at = at.Add(syncEvery) {
		<-time.After(time.Until(at))
		if _, err := f.WriteAt(fmt.Append(nil, at.UnixNano()), 0); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		c.calls.Synced.note(http.StatusOK, "", time.Since(at))
	}
	return nil
}

// reply is what the caller reads of an answer.
type reply struct {
	ID      string
	Code    string // of a problem
	Message struct{ ID string }
}

// post returns an answer's status, statusBroken if there was none.
func (c *caller) post(client *http.Client, path string, what body) (status int, r reply) {
	status, err := c.tryPost(client, path, what, &r)
	if err != nil {
		c.wrong("%s: %v", path, err)
		return statusBroken, reply{Code: "broken"}
	}
	return status, r
}

func (c *caller) tryPost(client *http.Client, path string, what body, r *reply) (status int, err error) {
	b, err := json.Marshal(what)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest("POST", c.Base+path, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, r)
	}
	return resp.StatusCode, err
}

func (c *caller) wrong(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls.Wrong) < 20 {
		c.calls.Wrong = append(c.calls.Wrong, fmt.Sprintf(format, args...))
	}
}

// send asks for a code for an account that has none, or, every fifth time, sends a plain text.
func (c *caller) send(client *http.Client, n int) (int, string) {
	if n%5 == 0 {
		phone, text := loadPhone(c.Plan.Accounts+n/5%5000), fmt.Sprintf("load text %d.", n)
		status, r := c.post(client, "/v1/messages", body{"to": phone, "text": text, "ttl": "30m"})
		if r.ID != "" && status == http.StatusAccepted {
			c.note(acked{r.ID, phone, text}, attempt{})
		}
		return status, r.Code
	}
	var account string
	select {
	case account = <-c.free:
	default:
		return statusNone, "no account is free"
	}
	status, r := c.post(client, "/v1/challenges", body{"account": account, "purpose": "login"})
	if status != http.StatusAccepted {
		c.free <- account
		return status, r.Code
	}
	var number int
	if _, err := fmt.Sscanf(account, "load-%d", &number); err != nil {
		c.wrong("account %s: %v", account, err)
	}
	phone := loadPhone(number)
	c.note(acked{r.Message.ID, phone, ""}, attempt{account: account, phone: phone, id: r.ID})
	return status, ""
}

// verify tries a code that has come: wrong at first, then right.
func (c *caller) verify(client *http.Client, _ int) (int, string) {
	var a attempt
	select {
	case a = <-c.ready:
	default:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls.Starved++
		return statusNone, "no code has come"
	}
	code := a.code
	if a.guessed < guesses {
		code = string('0'+(code[0]-'0'+1)%10) + code[1:]
	}
	status, r := c.post(client, "/v1/challenges/"+a.id+"/verify", body{"code": code})
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusInsufficientStorage:
		c.ready <- a
	case a.guessed < guesses && status != http.StatusUnprocessableEntity:
		c.wrong("a wrong code was answered %d %s", status, r.Code)
	case a.guessed < guesses:
		a.guessed++
		c.ready <- a
	case status != http.StatusOK:
		c.wrong("a right code was answered %d %s", status, r.Code)
	default:
		c.free <- a.account
	}
	return status, r.Code
}

// note keeps what was acknowledged, and matches a challenge with its text.
func (c *caller) note(m acked, a attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls.Acked = append(c.calls.Acked, m)
	if a.id == "" {
		return
	}
	if code, ok := c.codes[a.phone]; ok {
		delete(c.codes, a.phone)
		a.code = code
		c.ready <- a
		return
	}
	c.open[a.phone] = a
}

// came matches a text with its challenge.
func (c *caller) came(m codeText) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.open[m.Phone]
	if !ok {
		c.codes[m.Phone] = m.Code
		return
	}
	delete(c.open, m.Phone)
	a.code = m.Code
	c.ready <- a
}
