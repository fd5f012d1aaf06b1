package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// LineUse is how much of the time modems were busy submitting while there was something to send.
type LineUse struct {
	SubmitTime time.Duration `json:"submit_time_ns"`
	Modems     int           `json:"modems"`
	PerSecond  float64       `json:"per_second"`
	Use        float64       `json:"use"`   // the mean over the modems; 0 where the submit time is 0
	Worst      float64       `json:"worst"` // of the modems
}

// lineLoads are the submit times, how many texts each modem gets, and whether daemons with different numbers of modems may
// run side by side, as those of slow modems, which have nothing to do most of the time, may.
var lineLoads = [...]struct {
	submit     time.Duration
	texts      int
	sideBySide bool
}{
	{0, 50, false}, {50 * time.Millisecond, 30, false}, {500 * time.Millisecond, 10, true}, {3 * time.Second, 4, true},
}

// lineModems are the numbers of modems.
var lineModems = [...]int{1, 4, 16}

// lineUse measures how busy modems are kept, by submit time and number of modems.
func (b *run) lineUse(ctx context.Context) error {
	for _, l := range lineLoads {
		if err := b.linesAt(ctx, l.submit, l.texts, l.sideBySide); err != nil {
			return err
		}
	}
	return nil
}

// linesAt measures modems of one submit time. All daemons are there before the first has something to do, so that none
// starts beside another at work.
func (b *run) linesAt(ctx context.Context, submit time.Duration, texts int, sideBySide bool) error {
	var rigs [len(lineModems)]*lineRig
	for i, modems := range lineModems {
		r, err := b.lineRig(ctx, modems, submit)
		if err != nil {
			return err
		}
		defer b.discard(r.rig)
		rigs[i] = r
	}
	g, gctx := errgroup.WithContext(ctx)
	if !sideBySide {
		g.SetLimit(1)
	}
	for _, r := range rigs {
		g.Go(func() error { return r.feed(gctx, texts) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, r := range rigs {
		u := LineUse{SubmitTime: submit, Modems: lineModems[i]}
		u.sum(r.lines)
		b.report.Line = append(b.report.Line, u)
		b.say("  %2d modems at %-6v %7.1f/s  line use %.1f %%, of the worst modem %.1f %%", u.Modems, u.SubmitTime, u.PerSecond, 100*u.Use, 100*u.Worst)
	}
	return nil
}

// discard ends a daemon whose queue is of no use, and whose modems may be busy for seconds: at once, unless it is to
// leave its profiles.
func (b *run) discard(r *rig) {
	if b.Profile == "" {
		r.kill()
	} else {
		r.stop()
	}
}

// lineRig is a rig whose lines are watched.
type lineRig struct {
	*rig
	submit time.Duration
	lines  []line
}

func (b *run) lineRig(ctx context.Context, modems int, submit time.Duration) (r *lineRig, err error) {
	r = &lineRig{submit: submit, lines: make([]line, modems)}
	r.rig, err = b.rig(ctx, fmt.Sprintf("line-%d-%v", modems, submit), rigOptions{modems: modems, submit: submit,
		tap: func(modem int, dir, text string) { r.lines[modem].tap(time.Now(), dir, text) }})
	return r, err
}

// feed queues so many texts for each modem and waits until the last of them has begun.
func (r *lineRig) feed(ctx context.Context, texts int) error {
	n := texts * len(r.lines)
	err := each(ctx, 16, n, func(ctx context.Context, i int) error {
		return r.call(ctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "line use"}, nil)
	})
	if err != nil {
		return err
	}
	begun := func() (all int) {
		for i := range r.lines {
			all += r.lines[i].begun()
		}
		return all
	}
	if err := until(ctx, startPatience+time.Duration(texts)*r.submit, func() bool { return begun() >= n }); err != nil {
		return fmt.Errorf("%d of %d texts were sent: %w", begun(), n, err)
	}
	return nil
}

// sum takes the use of a number of modems from what was seen on their lines.
func (u *LineUse) sum(lines []line) {
	u.Worst = 1
	judged := 0.0
	for i := range lines {
		busy, wall, texts := lines[i].cycles()
		if texts == 0 {
			continue // it got one text, or none: nothing can be said
		}
		judged++
		u.PerSecond += float64(texts) / wall.Seconds()
		u.Use += busy.Seconds() / wall.Seconds()
		u.Worst = min(u.Worst, busy.Seconds()/wall.Seconds())
	}
	u.Use /= max(1, judged)
	if u.SubmitTime == 0 {
		u.Use, u.Worst = 0, 0
	}
}

// line is what was seen on a modem's serial line.
type line struct {
	mu          sync.Mutex // owns what follows
	begin, done []time.Time
}

// tap takes a line of the exchange (see sim.Tap).
func (l *line) tap(now time.Time, dir, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case dir == ">>" && isSubmit(text):
		l.begin = append(l.begin, now)
	case dir == "<<" && len(l.done) < len(l.begin) && (text == "OK" || strings.Contains(text, "ERROR")):
		l.done = append(l.done, now)
	}
}

// isSubmit tells whether a line from the host is a text's end, Ctrl-Z.
func isSubmit(text string) bool { return strings.HasSuffix(text, "<^Z>") }

// begun is how many texts the modem was given.
func (l *line) begun() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.begin)
}

// cycles sums up the time from each Ctrl-Z to its final result, and from the first Ctrl-Z to the last: whole cycles, each
// of which ended with something to send.
func (l *line) cycles() (busy, wall time.Duration, texts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	texts = min(len(l.begin)-1, len(l.done))
	if texts < 1 {
		return 0, 0, 0
	}
	for i := range texts {
		busy += l.done[i].Sub(l.begin[i])
	}
	return busy, l.begin[texts].Sub(l.begin[0]), texts
}

// until waits until done says so.
func until(ctx context.Context, patience time.Duration, done func() bool) error {
	for began := time.Now(); !done(); <-time.After(time.Millisecond) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) > patience:
			return fmt.Errorf("nothing more came within %v", patience)
		}
	}
	return nil
}
