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

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

// TestKillLosesNothing kills the daemon at random, again and again, while texts are posted and sent, and then compares what was
// acknowledged, what the ledger says and what the phones got: none lost, and none twice but where the ledger says
// "uncertain, so sent once more".
func TestKillLosesNothing(t *testing.T) {
	for _, policy := range []string{"keep", "resend_once"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			k := newKillRun(t, policy)
			cycles := 5 * *soak
			for range cycles {
				k.cycle()
			}
			k.settle()
			k.account()
		})
	}
}

// killRun is a simulated modem in this process, a daemon in another, and what was acknowledged.
type killRun struct {
	t       *testing.T
	network *sim.Network
	base    string
	config  string
	key     string
	rng     *rand.Rand
	daemon  *exec.Cmd
	log     bytes.Buffer  // of the running daemon
	slowest time.Duration // from start to ready

	mu       sync.Mutex
	posted   int
	accepted map[string]string // message id to text
}

func newKillRun(t *testing.T, policy string) *killRun {
	dir := t.TempDir()
	k := &killRun{t: t, network: sim.NewNetwork(sim.NetworkConfig{}), accepted: map[string]string{}, rng: rand.New(rand.NewPCG(7, 11))}
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

// cycle posts from a few clients, kills the daemon once it has acknowledged some, and starts it again.
func (k *killRun) cycle() {
	k.t.Helper()
	enough := k.count() + 3 + k.rng.IntN(40)
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
			}
		})
	}
	for deadline := time.Now().Add(callPatience); k.count() < enough && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
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
	to := fmt.Sprintf("+4477009001%02d", n%10)
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
	Status   string
	Attempts int
	Error    string
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
	for id := range k.accepted {
		for deadline := time.Now().Add(2 * time.Minute); ; {
			e := k.entry(id)
			if e.Status != "queued" && e.Status != "sending" {
				break
			}
			if time.Now().After(deadline) {
				k.t.Fatalf("message %s is still %s; the daemon said:\n%s", id, e.Status, k.log.String())
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// account compares acknowledgements, ledger and phones.
func (k *killRun) account() {
	k.t.Helper()
	got := map[string]int{}
	for _, m := range k.network.Messages(sim.Filter{}) {
		got[m.Text]++
	}
	states := map[string]int{}
	for id, text := range k.accepted {
		e := k.entry(id)
		states[e.Status]++
		most := max(1, e.Attempts)
		least := 1
		if e.Status == "uncertain" {
			least = 0
		}
		if n := got[text]; n < least || n > most {
			k.t.Errorf("%s (%s, %d attempts, %q) is on the phones %d times, want %d to %d", text, e.Status, e.Attempts, e.Error, n, least, most)
		}
	}
	k.t.Logf("%d posted, %d acknowledged, states %v, ready again in %v at the most", k.posted, len(k.accepted), states, k.slowest)
	if len(k.accepted) < 10 {
		k.t.Errorf("only %d messages were acknowledged: the test tests nothing", len(k.accepted))
	}
}
