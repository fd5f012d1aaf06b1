package daemon

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/otp/otptest"
)

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

// unlimited lets a history send more than a person may.
const unlimited = oneModem + "\nlimits: {phone_hour: 0, phone_day: 0, account_day: 0, account_phones_day: 0, client_hour: 0}"

const linearPIN = "739154"

// TestHistoriesAreLinearizable: clients send, verify, cancel and unlock at once, over HTTP, and the daemon is stopped and
// started again in between. What they saw is what some order of their calls, one after the other, would have shown them. Every
// second history is on a slow disk, where functions of updates run during the commit before their own.
func TestHistoriesAreLinearizable(t *testing.T) {
	verified := 0
	for seed := range uint64(4 * *soak) {
		r := &history{account: "linear", dir: t.TempDir()}
		for phase := range 3 {
			r.in = startWith(t, r.dir, unlimited, slog.LevelDebug, func() { <-time.After(time.Duration(seed%2) * slowSync) })
			if phase == 0 {
				r.in.must(204, "PUT", "/v1/accounts/linear/pin", body{"pin": linearPIN})
			}
			var clients sync.WaitGroup
			for client := range 4 {
				rnd := rand.New(rand.NewPCG(seed<<8+uint64(phase), uint64(client)))
				clients.Go(func() {
					for range 6 {
						r.do(client, r.choose(rnd))
					}
				})
			}
			clients.Wait()
			r.in.stop()
		}
		if porcupine.CheckOperationsTimeout(otptest.Model(false), r.seen, time.Minute) != porcupine.Ok {
			t.Fatalf("history %d is not linearizable: %+v", seed, r.seen)
		}
		for _, op := range r.seen {
			if op.Input.(otptest.Call).Kind == "verify" && op.Output.(otptest.Outcome).Code == "" {
				verified++
				again := porcupine.Operation{Input: op.Input, Output: op.Output, Call: r.clock.Add(1), Return: r.clock.Add(1)}
				if porcupine.CheckOperationsTimeout(otptest.Model(false), append(r.seen, again), time.Minute) == porcupine.Ok {
					t.Fatal("the checker does not mind a code that was taken twice")
				}
				break
			}
		}
	}
	if verified == 0 {
		t.Error("no history verified anything")
	}
}

// history is what clients did and saw.
type history struct {
	in      *instance
	dir     string
	account string
	clock   atomic.Int64

	mu   sync.Mutex // owns what follows
	seen []porcupine.Operation
	made []otptest.Call
}

func (r *history) choose(rnd *rand.Rand) otptest.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return otptest.Choose(rnd, r.made)
}

func (r *history) do(client int, in otptest.Call) {
	began := r.clock.Add(1)
	out := r.perform(&in)
	ended := r.clock.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: began, Return: ended})
	if in.Kind == "send" && out.Code == "" {
		r.made = append(r.made, otptest.Call{Purpose: in.Purpose, ID: out.ID})
	}
}

// perform makes the call. A right answer needs the code, which there is only while the challenge is pending: without it the
// answer is a wrong one.
func (r *history) perform(in *otptest.Call) (out otptest.Outcome) {
	base := "/v1/accounts/" + r.account
	var status int
	var answer map[string]any
	switch {
	case in.Kind == "unlock":
		status, answer = r.in.call("POST", base+"/unlock", nil)
	case in.Kind == "cancel":
		status, answer = r.in.call("DELETE", "/v1/challenges/"+in.ID, nil)
	case in.Kind == "verify":
		q := body{"code": r.code(in)}
		if in.Purpose == "sms.enable" {
			q["pin"] = linearPIN
		}
		status, answer = r.in.call("POST", "/v1/challenges/"+in.ID+"/verify", q)
	case in.Purpose == "sms.enable":
		status, answer = r.in.call("POST", base+"/sms/enable", body{"phone": canaryPhone})
	case in.Purpose == "sms.disable":
		status, answer = r.in.call("POST", base+"/sms/disable", nil)
	default:
		status, answer = r.in.call("POST", "/v1/challenges", body{"account": r.account, "purpose": in.Purpose})
	}
	if status >= 400 {
		out.Code, _ = answer["code"].(string)
		return out
	}
	if in.Kind == "send" {
		out.ID, _ = answer["id"].(string)
	}
	return out
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// code is the challenge's code, as it would be sent, or a wrong one.
func (r *history) code(in *otptest.Call) string {
	text := ""
	if _, view := r.in.call("GET", "/v1/challenges/"+in.ID, nil); view["status"] == "pending" {
		message, _ := view["message"].(map[string]any)
		id, _ := message["id"].(string)
		_ = r.in.daemon.kv.View(r.in.t.Context(), func(tx store.Txn) (err error) { // no text: the code is wrong, which is a call too
			var m gateway.Message
			if m, err = r.in.daemon.queue.Lookup(tx, id); err == nil {
				text, err = r.in.daemon.rules.Render(tx, time.Now(), m)
			}
			return err
		})
	}
	code := sixDigits.FindString(text)
	if code == "" {
		in.Right = false
		return "000000"
	}
	if !in.Right {
		return string('0'+(code[0]-'0'+1)%10) + code[1:]
	}
	return code
}
