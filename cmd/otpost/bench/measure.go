package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver/sim"
)

// benchAccounts is how many accounts take part: as many codes can be pending at once.
const benchAccounts = 192

// throughput measures durable sends and verifies, and the daemon's memory before and after.
func (b *run) throughput(ctx context.Context) error {
	r, err := b.rig(ctx, "throughput", 16, 0, nil)
	if err != nil {
		return err
	}
	defer r.stop()
	if b.report.Memory.Idle, err = r.memory("VmRSS"); err != nil {
		return err
	}
	if err := b.enrol(ctx, r); err != nil {
		return err
	}
	for _, n := range clientCounts {
		var turn atomic.Int64
		rate, err := measure(ctx, sendName, n, b.Window, func(ctx context.Context, _ int) error {
			account := int(turn.Add(1)) % benchAccounts
			return r.call(ctx, http.MethodPost, "/v1/challenges", body{"account": accountName(account), "purpose": "login"}, nil)
		})
		if err != nil {
			return err
		}
		b.rated(rate)
	}
	for _, n := range clientCounts {
		if err := b.verifies(ctx, r, n); err != nil {
			return err
		}
	}
	b.report.Memory.Peak, err = r.memory("VmHWM")
	return err
}

func accountName(i int) string  { return fmt.Sprintf("bench-%d", i) }
func accountPhone(i int) string { return fmt.Sprintf("+4477009%05d", i) }

// enrol turns SMS codes on for every account: a PIN, an SMS and a verify each, most of it argon2id.
func (b *run) enrol(ctx context.Context, r *rig) error {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range benchAccounts {
		g.Go(func() error {
			path := "/v1/accounts/" + accountName(i)
			if err := r.call(ctx, http.MethodPut, path+"/pin", body{"pin": "739154"}, nil); err != nil {
				return err
			}
			if err := r.call(ctx, http.MethodPost, path+"/sms/enable", body{"phone": accountPhone(i)}, nil); err != nil {
				return err
			}
			code, err := r.code(ctx, i, time.Time{})
			if err != nil {
				return err
			}
			return r.call(ctx, http.MethodPost, path+"/sms/enable/verify", body{"code": code, "pin": "739154"}, nil)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	b.say("  %d accounts enrolled, %.1f ms each, two argon2id in it", benchAccounts, time.Since(began).Seconds()*1000/benchAccounts)
	return nil
}

// code waits for the code of a text that the account's phone got after an instant.
func (r *rig) code(ctx context.Context, account int, after time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	texts, err := r.network.Wait(ctx, sim.Filter{To: accountPhone(account), After: after, Limit: 1})
	if err != nil {
		return "", fmt.Errorf("wait for a text: %w", err)
	}
	return texts[0].Code, nil
}

// verifies measures verifies in waves: every account gets a code, unmeasured, and then the clients verify them all.
func (b *run) verifies(ctx context.Context, r *rig, clients int) error {
	var took []time.Duration
	var wall time.Duration
	for wall < b.Window/2 {
		ids, codes, err := r.pending(ctx)
		if err != nil {
			return err
		}
		mine := make([][]time.Duration, clients)
		var next atomic.Int64
		began := time.Now()
		g, gctx := errgroup.WithContext(ctx)
		for c := range clients {
			g.Go(func() error {
				for i := int(next.Add(1)) - 1; i < len(ids); i = int(next.Add(1)) - 1 {
					at := time.Now()
					if err := r.call(gctx, http.MethodPost, "/v1/challenges/"+ids[i]+"/verify", body{"code": codes[i]}, nil); err != nil {
						return err
					}
					mine[c] = append(mine[c], time.Since(at))
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		wall += time.Since(began)
		took = append(took, slices.Concat(mine...)...)
	}
	b.rated(Rate{What: verifyName, Clients: clients, PerSecond: float64(len(took)) / wall.Seconds(), Took: spread(took)})
	return nil
}

// pending makes a fresh challenge for every account and returns ids and codes.
func (r *rig) pending(ctx context.Context) (ids, codes []string, err error) {
	ids, codes = make([]string, benchAccounts), make([]string, benchAccounts)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range benchAccounts {
		g.Go(func() error {
			var made struct{ ID, Status string }
			if err := r.call(ctx, http.MethodPost, "/v1/challenges", body{"account": accountName(i), "purpose": "login"}, &made); err != nil {
				return err
			}
			ids[i] = made.ID
			return r.current(ctx, made.ID, i, &codes[i])
		})
	}
	return ids, codes, g.Wait()
}

// current waits until the challenge's own message was sent, and reads the newest code off the phone.
func (r *rig) current(ctx context.Context, id string, account int, code *string) error {
	for began := time.Now(); ; <-time.After(2 * time.Millisecond) {
		var c struct{ Message struct{ Status string } }
		if err := r.call(ctx, http.MethodGet, "/v1/challenges/"+id, nil, &c); err != nil {
			return err
		}
		if c.Message.Status == "sent" || c.Message.Status == "delivered" {
			break
		}
		if time.Since(began) > startPatience {
			return fmt.Errorf("the code of %s is still %s", id, c.Message.Status)
		}
	}
	got, err := r.code(ctx, account, time.Time{})
	*code = got
	return err
}

// latencySamples is how many texts the idle queue is measured with.
const latencySamples = 300

// latency measures from the API call to Ctrl-Z on the wire, one text at a time on an idle queue.
func (b *run) latency(ctx context.Context) error {
	wire := make(chan time.Time, 16)
	r, err := b.rig(ctx, "latency", 1, 0, func(dir, line string) {
		if dir == ">>" && len(line) > 20 && !strings.HasPrefix(line, "AT") {
			select {
			case wire <- time.Now():
			default:
			}
		}
	})
	if err != nil {
		return err
	}
	defer r.stop()
	var took []time.Duration
	for i := range latencySamples {
		began := time.Now()
		if err := r.call(ctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "idle"}, nil); err != nil {
			return err
		}
		select {
		case at := <-wire:
			took = append(took, at.Sub(began))
		case <-time.After(startPatience):
			return fmt.Errorf("text %d did not reach the wire", i)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.arrived(ctx, i+1); err != nil {
			return err
		}
	}
	b.report.Idle = spread(took)
	b.say("  p50 %.2f ms, p99 %.2f ms", b.report.Idle.P50, b.report.Idle.P99)
	return nil
}

// arrived waits until the modems have submitted n texts in all, and a little for the verdict of the last to be settled.
func (r *rig) arrived(ctx context.Context, n int) error {
	for began := time.Now(); ; <-time.After(time.Millisecond) {
		switch {
		case int(r.network.Sent()) >= n:
			<-time.After(5 * time.Millisecond)
			return nil
		case time.Since(began) > startPatience:
			return fmt.Errorf("%d of %d texts arrived", r.network.Sent(), n)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// lineUse measures how busy modems are kept, by submit time and number of modems.
func (b *run) lineUse(ctx context.Context) error {
	for _, modems := range [...]int{1, 4, 16} {
		for _, submit := range [...]time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second} {
			u, err := b.line(ctx, modems, submit)
			if err != nil {
				return err
			}
			b.report.Line = append(b.report.Line, u)
			b.say("  %2d modems at %-6v %7.1f/s  line use %.1f %%", modems, submit, u.PerSecond, 100*u.Use)
		}
	}
	return nil
}

// line queues enough texts for about a window, and takes the time from the first Ctrl-Z to the last final result.
func (b *run) line(ctx context.Context, modems int, submit time.Duration) (LineUse, error) {
	var mu sync.Mutex
	var first, last time.Time
	r, err := b.rig(ctx, fmt.Sprintf("line-%d-%v", modems, submit), modems, submit, func(dir, line string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case dir == ">>" && len(line) > 20 && !strings.HasPrefix(line, "AT") && first.IsZero():
			first = time.Now()
		case dir == "<<" && strings.HasPrefix(line, "+CMGS:"):
			last = time.Now()
		}
	})
	if err != nil {
		return LineUse{}, err
	}
	defer r.stop()
	n := 100 * modems
	if submit > 0 {
		n = modems * max(2, int(b.Window/submit))
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			return r.call(gctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "line use"}, nil)
		})
	}
	if err := g.Wait(); err != nil {
		return LineUse{}, err
	}
	if err := r.arrived(ctx, n); err != nil {
		return LineUse{}, err
	}
	mu.Lock()
	defer mu.Unlock()
	wall := last.Sub(first)
	return LineUse{
		SubmitTime: submit, Modems: modems, PerSecond: float64(n) / wall.Seconds(),
		Use: float64(n) * submit.Seconds() / (wall.Seconds() * float64(modems)),
	}, nil
}
