package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"otpost/driver/sim"
)

// How sends and verifies are measured. What is asked is how many codes a second the daemon takes on (checked against every
// counter, durable with the message, answered 202) and how many answers it judges, and how near that is to what the
// machine can do at all. Two cores carry the daemon, its load and whatever else runs here, so:
//
//   - The yardstick, verifies and sends take turns, in short rounds of a fixed number of requests. A ratio is the median of
//     its rounds' ratios, and the lowest and the highest are told.
//   - Every round begins alike. The codes that are verified were delivered before the daemon started, so it has nothing of
//     them in its memory, as after the half a minute that people take while thousands of others ask. What a round of sends
//     asked for is canceled behind it, so that no queue grows as no site's does, and nothing replaces a code that waits.
//   - Sixteen modems that take half a second a text send meanwhile, so the daemon claims, hands over, settles and takes
//     delivery reports beside it. That it also gets codes through as fast as it takes them on is no promise; how fast that
//     is where modems take no time, and share the processors with it, is a row of its own ("carried").
//   - What a request costs the client is counted too; with the simulated modems', since they run in the same process.
const (
	acceptModems = 16
	acceptSubmit = 500 * time.Millisecond

	warmUp    = 256 // requests that nobody counts
	yardTimes = 2   // a round of the yardstick is so much longer, since it is quicker
	syncs     = 200 // fsyncs in a round
	benchWave = 512 // codes that are carried
)

const (
	fsyncName     = "append and fsync 500 B"
	yardstickName = "bare synced commit, HTTP"
	sendName      = "send (login challenge)"
	verifyName    = "verify (login)"
	carriedName   = "send and text on the phone"
)

// rounds are the numbers of clients and how many requests they make in a round.
var rounds = [...]struct{ clients, requests int }{{1, 96}, {16, 256}, {64, 512}}

// ratesDir is the data folder of the accounts.
const ratesDir = "rates"

// throughput measures durable sends and verifies beside the yardstick, and the daemon's memory under them.
func (b *run) throughput(ctx context.Context) error {
	n := warmUp
	for _, r := range rounds {
		n += b.Rounds * r.requests
	}
	began := time.Now()
	codes, err := b.people(ctx, n)
	if err != nil {
		return err
	}
	b.say("  %d accounts enrolled, with a code each, in %.1f s", n, time.Since(began).Seconds())
	if err := b.contests(ctx, codes); err != nil {
		return err
	}
	return b.carrying(ctx)
}

// pending is a challenge whose code has been delivered.
type pending struct{ id, code string }

// people makes accounts whose codes wait to be typed in.
func (b *run) people(ctx context.Context, n int) ([]pending, error) {
	modems := make([]*instantModem, acceptModems)
	for i := range modems {
		modems[i] = newInstantModem(i)
	}
	h, err := openHouse(ctx, filepath.Join(b.dir, ratesDir), modems...)
	if err != nil {
		return nil, err
	}
	codes, err := h.people(ctx, n)
	if cerr := h.kv.Close(); err == nil {
		err = cerr
	}
	return codes, err
}

// arena is the daemon and the yardstick that it is measured beside.
type arena struct {
	yardstick *process
	commits   *caller
	rig       *rig
	disk      disk
	codes     []pending
	next      int // account whose code is verified next
}

// contests measures all three at each number of clients.
func (b *run) contests(ctx context.Context, codes []pending) error {
	d, err := b.disk()
	if err != nil {
		return err
	}
	defer d.Close()
	y, err := b.start(ctx, "yardstick", "bench", "--yardstick", filepath.Join(b.dir, "yardstick"))
	if err != nil {
		return err
	}
	defer y.stop()
	r, err := b.rig(ctx, ratesDir, rigOptions{modems: acceptModems, submit: acceptSubmit})
	if err != nil {
		return err
	}
	defer r.stop()
	if err := wait(ctx, startSettles); err != nil {
		return err
	}
	a := &arena{yardstick: y, commits: newCaller(y.base, ""), rig: r, disk: d, codes: codes}
	defer a.commits.close()
	if err := newContest(64).round(ctx, a, warmUp); err != nil {
		return err
	}
	fsync := &series{what: fsyncName, clients: 1}
	highest := r.highest()
	for _, load := range rounds {
		c := newContest(load.clients)
		for range b.Rounds {
			if err := r.rest(ctx); err != nil { // behind the last round
				return err
			}
			if err := fsync.round(ctx, syncs, nil, d.append); err != nil {
				return err
			}
			if err := c.round(ctx, a, load.requests); err != nil {
				return err
			}
		}
		b.rated(c.yardstick.rate(), c.verify.beside(&c.yardstick), c.send.beside(&c.yardstick))
	}
	b.rated(fsync.rate())
	b.report.Memory.Full = highest()
	return b.peak(r)
}

// peak notes the most memory that a daemon under load has had.
func (b *run) peak(r *rig) error {
	n, err := r.peak()
	b.report.Memory.Peak = max(b.report.Memory.Peak, n)
	return err
}

// contest is the three series of one number of clients.
type contest struct{ yardstick, verify, send series }

func newContest(clients int) *contest {
	return &contest{series{what: yardstickName, clients: clients}, series{what: verifyName, clients: clients}, series{what: sendName, clients: clients}}
}

// round is a round of each. Who has just logged in logs in again: those accounts have nothing else waiting.
func (c *contest) round(ctx context.Context, a *arena, n int) error {
	if err := c.yardstick.round(ctx, yardTimes*n, a.yardstick, a.commits.commit); err != nil {
		return err
	}
	first := a.next
	a.next += n
	err := c.verify.round(ctx, n, a.rig.process, func(ctx context.Context, i int) error {
		return a.rig.verify(ctx, a.codes[first+i])
	})
	if err != nil {
		return err
	}
	made := make([]struct{ ID string }, n)
	err = c.send.round(ctx, n, a.rig.process, func(ctx context.Context, i int) error {
		return a.rig.login(ctx, first+i, &made[i])
	})
	if err != nil {
		return err
	}
	return each(ctx, 16, n, func(ctx context.Context, i int) error {
		return a.rig.call(ctx, http.MethodDelete, "/v1/challenges/"+made[i].ID, nil, nil)
	})
}

func accountName(i int) string  { return fmt.Sprintf("bench-%d", i) }
func accountPhone(i int) string { return fmt.Sprintf("+4477009%05d", i%100_000) }

// login asks for a code.
func (r *rig) login(ctx context.Context, account int, out any) error {
	return r.call(ctx, http.MethodPost, "/v1/challenges", body{"account": accountName(account), "purpose": "login"}, out)
}

// verify types a code in.
func (r *rig) verify(ctx context.Context, p pending) error {
	var judged struct{ ID string }
	return r.call(ctx, http.MethodPost, "/v1/challenges/"+p.id+"/verify", body{"code": p.code}, &judged)
}

// carrying measures how fast codes get to the phones through modems that take no time.
func (b *run) carrying(ctx context.Context) error {
	r, err := b.rig(ctx, ratesDir, rigOptions{modems: acceptModems})
	if err != nil {
		return err
	}
	defer r.stop()
	carried := series{what: carriedName, clients: 64}
	err = carried.round(ctx, benchWave, r.process, func(ctx context.Context, i int) error {
		began := time.Now()
		if err := r.login(ctx, i, nil); err != nil {
			return err
		}
		_, err := r.text(ctx, accountPhone(i), began)
		return err
	})
	if err != nil {
		return err
	}
	b.rated(carried.rate())
	return b.peak(r)
}

// text waits for a text that a phone got after an instant.
func (r *rig) text(ctx context.Context, phone string, after time.Time) (sim.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	texts, err := r.network.Wait(ctx, sim.Filter{To: phone, After: after, Limit: 1})
	if err != nil {
		return sim.Message{}, fmt.Errorf("wait for a text: %w", err)
	}
	return texts[0], nil
}
