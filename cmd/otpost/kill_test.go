package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"otpost/driver/sim"
)

var (
	soak     = flag.Int("soak", 1, "multiply the counts of long tests")
	killSeed = flag.Uint64("seed", 0, "of the tests that kill; 0: a fixed one, and with -soak another every time")
)

// seedOf returns the seed to use and says how to use it again.
func seedOf(t *testing.T) uint64 {
	seed := *killSeed
	if seed == 0 {
		seed = 7
		if *soak > 1 {
			seed = rand.Uint64()
		}
	}
	t.Logf("seed %d: go test ./cmd/otpost -run '^%s$' -args -soak=%d -seed=%d", seed, t.Name(), *soak, seed)
	return seed
}

// TestKillLosesNothing kills the daemon at random, again and again, while texts are posted and sent over a network that is slow
// to answer, refuses some, and leaves half of the reports out. Then it compares what was acknowledged, what the ledger says
// and what the phones got: none lost, and none twice but where the ledger says "in doubt, so sent once more".
func TestKillLosesNothing(t *testing.T) {
	seed := seedOf(t)
	for i, policy := range []string{"keep", "resend_once"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			k := newKillRun(t, policy, seed+uint64(i))
			cycles := 5 * *soak
			for range cycles {
				k.cycle()
			}
			k.settle()
			k.account(cycles)
		})
	}
}

// killRun is a simulated modem in this process, a daemon in another, and what was acknowledged.
type killRun struct {
	t       *testing.T
	network *sim.Network
	base    string
	config  string
	policy  string
	key     string
	rng     *rand.Rand
	daemon  *exec.Cmd
	log     bytes.Buffer  // of the running daemon
	slowest time.Duration // from start to ready

	mu       sync.Mutex
	posted   int
	accepted map[string]string // message id to text
}

func newKillRun(t *testing.T, policy string, seed uint64) *killRun {
	dir := t.TempDir()
	k := &killRun{
		t: t, policy: policy, network: sim.NewNetwork(sim.NetworkConfig{Seed: seed}), accepted: map[string]string{}, rng: rand.New(rand.NewPCG(seed, 11)),
	}
	for _, f := range []sim.Fault{
		{Kind: sim.Slow, Delay: 40 * time.Millisecond, Probability: 0.3},       // a kill meanwhile leaves a doubt about what did not go out
		{Kind: sim.LateResult, Delay: 40 * time.Millisecond, Probability: 0.3}, // and here about what did
		{Kind: sim.NoReport, Probability: 0.5},                                 // which nothing settles
		{Kind: sim.BareOK, Probability: 0.05},
		{Kind: sim.CMSError, Cause: 38, Probability: 0.03},
	} {
		if _, err := k.network.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	modem, err := sim.New(sim.Config{
		Name: "stick", Network: k.network, Link: filepath.Join(dir, "modem0"), SubmitTime: 15 * time.Millisecond, ReportDelay: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- modem.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := modem.Close(); err != nil {
			t.Error(err)
		}
	})
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	k.base, k.config = "http://127.0.0.1:"+port, filepath.Join(dir, "otpost.yaml")
	yaml := fmt.Sprintf("listen: 127.0.0.1:%s\nsocket: %s/s\ndata_dir: %s/data\ncountries: [GB]\nuncertain: {texts: %s}\nmodems: [{name: stick, device: %s/modem0}]\n",
		port, dir, dir, policy, dir)
	if err := os.WriteFile(k.config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.kill)
	k.start()
	out, err := exec.Command("otpost", "key", "create", "--config", k.config, "--name", "test", "--scope", "admin", "--json").Output()
	if err != nil {
		t.Fatalf("key create: %v", err)
	}
	var made struct{ Token string }
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	k.key = made.Token
	return k
}

// start starts the daemon and waits until it answers.
func (k *killRun) start() {
	k.t.Helper()
	k.log.Reset()
	k.daemon = exec.Command("otpost", "serve", "--config", k.config)
	k.daemon.Stderr = &k.log
	if err := k.daemon.Start(); err != nil {
		k.t.Fatal(err)
	}
	began := time.Now()
	for deadline := began.Add(callPatience); ; <-time.After(5 * time.Millisecond) {
		if status, _, err := k.do("GET", "/readyz", nil); err == nil && status == http.StatusOK {
			k.slowest = max(k.slowest, time.Since(began))
			return
		}
		if time.Now().After(deadline) {
			k.kill()
			k.t.Fatalf("not ready; the daemon said:\n%s", k.log.String())
		}
	}
}

func (k *killRun) kill() {
	if k.daemon == nil {
		return
	}
	_ = k.daemon.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	_ = k.daemon.Wait()                          // killed: always an error
	k.daemon = nil
}

// cycle posts from a few clients, kills the daemon once it has acknowledged some and, in most cycles, the modem has sent some,
// and starts it again. What has been posted by then is followed by less, or the queue would grow from cycle to cycle.
func (k *killRun) cycle() {
	k.t.Helper()
	enough, sent := k.count()+3+k.rng.IntN(15), 0
	if k.rng.IntN(4) > 0 {
		sent = len(k.network.Messages(sim.Filter{})) + 1 + k.rng.IntN(12)
	}
	later := time.Duration(k.rng.IntN(60)) * time.Millisecond
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					k.post()
				}
				if k.count() > enough {
					<-time.After(100 * time.Millisecond)
				}
			}
		})
	}
	for deadline := time.Now().Add(callPatience); time.Now().Before(deadline); {
		if k.count() >= enough && len(k.network.Messages(sim.Filter{})) >= sent {
			break
		}
		<-time.After(time.Millisecond)
	}
	<-time.After(later)
	k.kill()
	close(stop)
	clients.Wait()
	k.start()
}

// count is how many messages were acknowledged.
func (k *killRun) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.accepted)
}

// post sends one text of its own to one of a few phones and notes it if it was acknowledged.
func (k *killRun) post() {
	k.mu.Lock()
	k.posted++
	n := k.posted
	k.mu.Unlock()
	text := fmt.Sprintf("text number %d.", n)
	to := fmt.Sprintf("+44770090%04d", n%2000)
	status, answer, err := k.do("POST", "/v1/messages", map[string]any{"to": to, "text": text, "ttl": "30m"})
	if err != nil || status != http.StatusAccepted {
		<-time.After(10 * time.Millisecond) // the daemon is dead or the queue is full
		return
	}
	var m struct{ ID string }
	if err := json.Unmarshal(answer, &m); err != nil {
		k.t.Errorf("answer to a post: %v in %s", err, answer)
	}
	k.mu.Lock()
	k.accepted[m.ID] = text
	k.mu.Unlock()
}

func (k *killRun) do(method, path string, body any) (int, []byte, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, k.base+path, in)
	if err != nil {
		return 0, nil, err
	}
	if k.key != "" {
		req.Header.Set("Authorization", "Bearer "+k.key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Timeout: callPatience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// ledgerEntry is what the API says of one message.
type ledgerEntry struct {
	Status  string
	Error   string
	History []struct{ Outcome string }
}

// may returns how often a phone may have the message at least and at most, by what its attempts came to.
func (e ledgerEntry) may(policy string) (least, most, doubts int) {
	for _, a := range e.History {
		switch a.Outcome {
		case "accepted":
			least, most = 1, most+1
		case "unknown":
			most, doubts = most+1, doubts+1
		}
	}
	if policy == "keep" {
		most = min(most, 1)
	}
	return least, min(most, 2), doubts
}

func (k *killRun) entry(id string) ledgerEntry {
	k.t.Helper()
	status, answer, err := k.do("GET", "/v1/messages/"+id, nil)
	if err != nil || status != http.StatusOK {
		k.t.Fatalf("message %s: %d %v %s", id, status, err, answer)
	}
	var e ledgerEntry
	if err := json.Unmarshal(answer, &e); err != nil {
		k.t.Fatal(err)
	}
	return e
}

// settle waits until nothing is queued or being sent any more: after many cycles that is a long queue, but it has to move.
func (k *killRun) settle() {
	k.t.Helper()
	const patience = 2 * time.Minute
	deadline, texts := time.Now().Add(patience), 0
	for id := range k.accepted {
		for {
			e := k.entry(id)
			if e.Status != "queued" && e.Status != "sending" {
				break
			}
			if time.Now().After(deadline) {
				now := len(k.network.Messages(sim.Filter{}))
				if now == texts {
					k.t.Fatalf("message %s is still %s; the daemon said:\n%s", id, e.Status, k.log.String())
				}
				deadline, texts = time.Now().Add(patience), now
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// account compares acknowledgements, ledger and phones after so many kills.
func (k *killRun) account(kills int) {
	k.t.Helper()
	got := map[string]int{}
	for _, m := range k.network.Messages(sim.Filter{}) {
		got[m.Text]++
	}
	states, doubted := map[string]int{}, 0
	for id, text := range k.accepted {
		e := k.entry(id)
		states[e.Status]++
		least, most, doubts := e.may(k.policy)
		if n := got[text]; n < least || n > most {
			k.t.Errorf("%s (%s, %v, %q) is on the phones %d times, want %d to %d", text, e.Status, e.History, e.Error, n, least, most)
		}
		if e.Status == "delivered" && got[text] == 0 {
			k.t.Errorf("%s is delivered, but no phone has it", text)
		}
		doubted += doubts
	}
	k.t.Logf("%d posted, %d acknowledged, states %v, %d hand-overs in doubt after %d kills, ready again in %v at the most",
		k.posted, len(k.accepted), states, doubted, kills, k.slowest)
	if len(k.accepted) < 10 {
		k.t.Errorf("only %d messages were acknowledged: the test tests nothing", len(k.accepted))
	}
	switch {
	case doubted > kills:
		k.t.Errorf("%d hand-overs are in doubt after %d kills: one modem can leave one at a time", doubted, kills)
	case kills >= 20 && doubted == 0:
		k.t.Errorf("no hand-over was ever in doubt: the test does not kill where it hurts")
	}
}
