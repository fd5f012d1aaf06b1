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
//   - A round that nobody counts comes first, when the daemon has thrown away what its start left. It brings code and heap
//     back into memory, and writes so much that the store merges the tables of the enrolment.
//   - Every round begins alike. What a round of sends asked for is canceled behind it, so that no queue grows as no site's
//     does, and nothing replaces a code that waits.
//   - The codes that are verified are warm: this daemon sent them a moment ago (see warm.go). Beside them stand cold ones,
//     which were delivered before it started.
//   - Sixteen modems that take half a second a text send meanwhile, so the daemon claims, hands over, settles and takes
//     delivery reports beside it. That it also gets codes through as fast as it takes them on is no promise; how fast that
//     is where modems take no time, and share the processors with it, is a row of its own ("carried").
//   - What a request costs the client is counted too; with the simulated modems', since they run in the same process.
const (
	acceptModems = 16
	acceptSubmit = 500 * time.Millisecond

	largestRound = 512 // requests
	yardTimes    = 2   // a round of the yardstick is so much longer, since it is quicker
	syncs        = 200 // fsyncs in a round
	benchWave    = 512 // codes that are carried
)

const (
	fsyncName     = "append and fsync 500 B"
	yardstickName = "bare synced commit, HTTP"
	sendName      = "send (login challenge)"
	verifyName    = "verify (login)"
	coldName      = "verify (login), cold"
	carriedName   = "send and text on the phone"
)

// rounds are the numbers of clients and how many requests they make in a round.
var rounds = [...]struct{ clients, requests int }{{1, 96}, {16, 256}, {64, largestRound}}

// ratesDir is the data folder of the accounts.
const ratesDir = "rates"

// throughput measures durable sends and verifies beside the yardstick, and the daemon's memory under them.
func (b *run) throughput(ctx context.Context) error {
	n := largestRound // to warm up with
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
	fsync     series
	cold      []pending
	next      int // account whose cold code is verified next
}

// contests measures all of them at each number of clients.
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
	r, err := b.rig(ctx, ratesDir, rigOptions{modems: acceptModems, submit: acceptSubmit, warm: warmModems})
	if err != nil {
		return err
	}
	defer r.stop()
	if err := wait(ctx, startSettles); err != nil {
		return err
	}
	a := &arena{yardstick: y, commits: newCaller(y.base, ""), rig: r, disk: d, fsync: series{what: fsyncName, clients: 1}, cold: codes}
	defer a.commits.close()
	if err := a.turn(ctx, newContest(64), largestRound); err != nil {
		return err
	}
	highest := r.highest()
	for _, load := range rounds {
		c := newContest(load.clients)
		for range b.Rounds {
			if err := a.turn(ctx, c, load.requests); err != nil {
				return err
			}
		}
		b.rated(c.yardstick.rate(), c.verify.beside(&c.yardstick), c.cold.beside(&c.yardstick), c.send.beside(&c.yardstick))
	}
	b.rated(a.fsync.rate())
	b.report.Memory.Full = highest()
	return b.peak(r)
}

// peak notes the most memory that a daemon under load has had.
func (b *run) peak(r *rig) error {
	n, err := r.peak()
	b.report.Memory.Peak = max(b.report.Memory.Peak, n)
	return err
}

// turn is a round of all, with n requests each. The codes that it needs are carried first, and nothing is measured before
// that and the last round have ended.
func (a *arena) turn(ctx context.Context, c *contest, n int) error {
	warm, err := a.rig.freshCodes(ctx, n)
	if err != nil {
		return err
	}
	if err := a.rig.rest(ctx); err != nil {
		return err
	}
	if err := a.fsync.round(ctx, syncs, nil, a.disk.append); err != nil {
		return err
	}
	return c.round(ctx, a, warm)
}

// contest is the series of one number of clients.
type contest struct{ yardstick, verify, cold, send series }

func newContest(clients int) *contest {
	named := func(what string) series { return series{what: what, clients: clients} }
	return &contest{named(yardstickName), named(verifyName), named(coldName), named(sendName)}
}

// round is a round of each. Who has just logged in with a cold code logs in again: those accounts have nothing else
// waiting.
func (c *contest) round(ctx context.Context, a *arena, warm []pending) error {
	n := len(warm)
	if err := c.yardstick.round(ctx, yardTimes*n, a.yardstick, a.commits.commit); err != nil {
		return err
	}
	if err := a.rig.verifies(ctx, &c.verify, warm); err != nil {
		return err
	}
	first := a.next
	a.next += n
	if err := a.rig.verifies(ctx, &c.cold, a.cold[first:a.next]); err != nil {
		return err
	}
	made := make([]struct{ ID string }, n)
	err := c.send.round(ctx, n, a.rig.process, func(ctx context.Context, i int) error {
		return a.rig.login(ctx, accountName(first+i), &made[i])
	})
	if err != nil {
		return err
	}
	return each(ctx, 16, n, func(ctx context.Context, i int) error {
		return a.rig.call(ctx, http.MethodDelete, "/v1/challenges/"+made[i].ID, nil, nil)
	})
}

// The numbers of the accounts' phones begin with this.
const accountPrefix = "+4477009"

func accountName(i int) string  { return fmt.Sprintf("bench-%d", i) }
func accountPhone(i int) string { return fmt.Sprintf(accountPrefix+"%05d", i%100_000) }

// login asks for a code.
func (r *rig) login(ctx context.Context, account string, out any) error {
	return r.call(ctx, http.MethodPost, "/v1/challenges", body{"account": account, "purpose": "login"}, out)
}

// verifies types codes in, as a round.
func (r *rig) verifies(ctx context.Context, s *series, codes []pending) error {
	return s.round(ctx, len(codes), r.process, func(ctx context.Context, i int) error {
		var judged struct{ ID string }
		return r.call(ctx, http.MethodPost, "/v1/challenges/"+codes[i].id+"/verify", body{"code": codes[i].code}, &judged)
	})
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
		if err := r.login(ctx, accountName(i), nil); err != nil {
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
