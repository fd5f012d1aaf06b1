package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaultsInAnyOrder orders random faults, several at once, while a host types and sends; when all are over the modem
// answers and sends again, whatever came before. A failing seed is its test's name.
func TestFaultsInAnyOrder(t *testing.T) {
	kinds, points := Kinds(), []Point{"", "", BeforePrompt, AfterSubmit, AfterAccept, MidLine}
	for seed := range uint64(60 * *soak) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				h := connect(t, Config{Personality: Personalities()[r.IntN(len(Personalities()))], Seed: seed + 1, SubmitTime: time.Duration(r.IntN(2)) * time.Second})
				for range 6 {
					f := Fault{Kind: kinds[r.IntN(len(kinds))], At: points[r.IntN(len(points))], Sends: r.IntN(3), For: time.Duration(r.IntN(8)) * time.Second,
						After: time.Duration(r.IntN(3)) * time.Second, Delay: time.Duration(r.IntN(5)) * time.Second}
					if f.Kind != LostPort { // TestLostPortOverPipe has it: this host does not dial again
						_, _ = h.m.net.AddFault(f) // some make no sense and are refused
					}
					for _, s := range []string{"AT\r", "AT+CSQ\r", "AT+CMGS=18\r", helloPDU + "\x1a", "\x1b\r", "AT+CMGS=18\r" + helloPDU + "\x1a"} {
						h.typed(s)
						h.raw(time.Duration(r.IntN(2000)) * time.Millisecond)
					}
				}
				h.m.net.ClearFaults()
				h.raw(40 * time.Second)
				h.say("\r\x1b\r")
				h.say("AT^CURC=0")
				h.m.mu.Lock()
				h.m.cfg.SubmitTime = 0 // alive does not wait
				h.m.mu.Unlock()
				h.alive()
			})
		})
	}
}
