package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver/sim"
)

// How sends are measured. What is asked is how many codes a second the daemon takes on: checked against every counter,
// durable with the message, answered 202. What a modem does with them afterwards takes seconds each, on other processors
// than the daemon's; sixteen modems that send two a second are with it here, so the daemon claims, hands over, settles
// and takes delivery reports beside it. That the queue can also be emptied as fast as the machine allows is a row of its
// own ("carried"): there simulated modems take no time and share the processors with the daemon and the load.
//
// Each account asks once, as people do: nothing replaces a code that is still waiting, unless the machine is so fast that
// the accounts run out.
const (
	acceptModems = 16
	acceptSubmit = 500 * time.Millisecond
	benchWave    = 512  // codes that are pending when they are verified, or carried
	benchPeople  = 6144 // accounts with SMS codes on
)

// throughput measures durable sends and verifies, and the daemon's memory under them.
func (b *run) throughput(ctx context.Context) error {
	began := time.Now()
	if err := b.people(ctx); err != nil {
		return err
	}
	b.say("  %d accounts enrolled in %.1f s", benchPeople, time.Since(began).Seconds())
	if err := b.carrying(ctx); err != nil { // it leaves no queue behind
		return err
	}
	return b.accepting(ctx)
}

// ratesDir is the data folder of the accounts.
const ratesDir = "rates"

func (b *run) people(ctx context.Context) error {
	h, err := openHouse(ctx, filepath.Join(b.dir, ratesDir), newInstantModem(0))
	if err != nil {
		return err
	}
	err = h.enrol(ctx, benchPeople)
	if cerr := h.kv.Close(); err == nil {
		err = cerr
	}
	return err
}

func (b *run) accepting(ctx context.Context) error {
	r, err := b.rig(ctx, ratesDir, rigOptions{modems: acceptModems, submit: acceptSubmit})
	if err != nil {
		return err
	}
	defer r.stop()
	var turn atomic.Int64
	for range 2 * acceptModems { // so that the queue knows how fast its modems are
		if err := r.login(ctx, int(turn.Add(1)), nil); err != nil {
			return err
		}
	}
	if err := r.arrived(ctx, 2*acceptModems); err != nil {
		return err
	}
	for _, n := range clientCounts {
		before := r.cpu()
		rate, err := measure(ctx, sendName, n, b.Window, func(ctx context.Context, _ int) error {
			return r.login(ctx, int(turn.Add(1))%benchPeople, nil)
		})
		if err != nil {
			return err
		}
		rate.cost(r.cpu() - before)
		b.rated(rate)
	}
	return b.peak(r)
}

// peak keeps the most memory that a daemon has had.
func (b *run) peak(r *rig) error {
	n, err := r.memory("VmHWM")
	b.report.Memory.Peak = max(b.report.Memory.Peak, n)
	return err
}

func accountName(i int) string  { return fmt.Sprintf("bench-%d", i) }
func accountPhone(i int) string { return fmt.Sprintf("+4477009%05d", i%100_000) }

// login asks for a code.
func (r *rig) login(ctx context.Context, account int, out any) error {
	return r.call(ctx, http.MethodPost, "/v1/challenges", body{"account": accountName(account), "purpose": "login"}, out)
}

// carrying measures how fast codes get through modems that take no time, and then verifies them, in waves.
func (b *run) carrying(ctx context.Context) error {
	r, err := b.rig(ctx, ratesDir, rigOptions{modems: acceptModems})
	if err != nil {
		return err
	}
	defer r.stop()
	carried := Rate{What: carriedName, Clients: 64}
	var wall, spent time.Duration
	var took []time.Duration
	for _, n := range clientCounts {
		v := Rate{What: verifyName, Clients: n}
		var vwall, vspent time.Duration
		var vtook []time.Duration
		for vwall < b.Window/2 {
			began, before := time.Now(), r.cpu()
			w, err := r.wave(ctx, carried.Clients)
			if err != nil {
				return err
			}
			wall, spent, took = wall+time.Since(began), spent+r.cpu()-before, append(took, w.took...)
			began, before = time.Now(), r.cpu()
			t, err := r.verify(ctx, w, n)
			if err != nil {
				return err
			}
			vwall, vspent, vtook = vwall+time.Since(began), vspent+r.cpu()-before, append(vtook, t...)
		}
		v.PerSecond, v.Took = float64(len(vtook))/vwall.Seconds(), spread(vtook)
		v.cost(vspent)
		b.rated(v)
	}
	carried.PerSecond, carried.Took = float64(len(took))/wall.Seconds(), spread(took)
	carried.cost(spent)
	b.rated(carried)
	return b.peak(r)
}

// wave is a set of codes that wait to be typed in.
type wave struct {
	ids, codes []string
	took       []time.Duration // from the call to the text on the phone
}

// wave makes a fresh challenge for each of the first accounts and waits until their phones have the codes.
func (r *rig) wave(ctx context.Context, clients int) (*wave, error) {
	w := &wave{ids: make([]string, benchWave), codes: make([]string, benchWave), took: make([]time.Duration, benchWave)}
	err := each(ctx, clients, benchWave, func(ctx context.Context, i int) error {
		began := time.Now()
		var made struct{ ID string }
		if err := r.login(ctx, i, &made); err != nil {
			return err
		}
		w.ids[i] = made.ID
		text, err := r.text(ctx, i, began)
		w.codes[i], w.took[i] = text.Code, time.Since(began)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, r.settled(ctx, w)
}

// text waits for a text that the account's phone got after an instant.
func (r *rig) text(ctx context.Context, account int, after time.Time) (sim.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	texts, err := r.network.Wait(ctx, sim.Filter{To: accountPhone(account), After: after, Limit: 1})
	if err != nil {
		return sim.Message{}, fmt.Errorf("wait for a text: %w", err)
	}
	return texts[0], nil
}

// settled waits until the daemon has written down that each code of the wave was sent, so that nothing of it is left for
// the measuring that follows.
func (r *rig) settled(ctx context.Context, w *wave) error {
	began := time.Now()
	for _, id := range w.ids {
		for {
			var c struct{ Message struct{ Status string } }
			if err := r.call(ctx, http.MethodGet, "/v1/challenges/"+id, nil, &c); err != nil {
				return err
			}
			if c.Message.Status == "delivered" {
				break
			}
			if time.Since(began) > startPatience {
				return fmt.Errorf("the code of %s is still %s", id, c.Message.Status)
			}
			<-time.After(2 * time.Millisecond)
		}
	}
	return nil
}

// verify types in all codes of a wave and returns how long each took.
func (r *rig) verify(ctx context.Context, w *wave, clients int) ([]time.Duration, error) {
	took := make([]time.Duration, len(w.ids))
	err := each(ctx, clients, len(w.ids), func(ctx context.Context, i int) error {
		at := time.Now()
		err := r.call(ctx, http.MethodPost, "/v1/challenges/"+w.ids[i]+"/verify", body{"code": w.codes[i]}, nil)
		took[i] = time.Since(at)
		return err
	})
	return took, err
}

// each calls f for 0 to n-1, by so many clients.
func each(ctx context.Context, clients, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range clients {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
