package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultReserve is the free disk space below which new work is refused.
const DefaultReserve = 256 << 20

// space knows the disk. A full disk kills the engine's process (it writes through maps of sparse files), so:
// below reserve Low holds; below floor nothing is committed any more, and the store is not opened; a reserve file
// (the ballast), once deleted, leaves enough room for opening and for closing.
type space struct {
	dir     string
	ballast string
	reserve int64
	free    func(dir string) (int64, error)

	mu    sync.Mutex
	trend trend
}

func newSpace(f files, reserve int64, free func(string) (int64, error)) *space {
	if free == nil {
		free = freeBytes
	}
	if reserve <= 0 {
		reserve = DefaultReserve
	}
	return &space{dir: f.dir, ballast: f.ballast, reserve: reserve, free: free}
}

// freeBytes is what an unprivileged process may still write below dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// What the engine does in the background (it writes tables out and merges them) goes on for a while after the last
// commit and must not meet a full disk either. So commits pause while somebody fills the disk so fast that the floor
// would be passed within roomAhead.
const (
	roomAhead  = 500 * time.Millisecond
	roomPause  = 10 * time.Millisecond
	roomWait   = 3 * time.Second       // then they are refused
	trendSpan  = 30 * time.Millisecond // a shorter span says little
	trendFades = time.Second
)

// trend is how fast free space shrinks.
type trend struct {
	at   time.Time // of the last sample
	free int64
	rate float64 // bytes a second
	seen time.Time
}

// add takes a sample. A fast loss is remembered for a while.
func (tr *trend) add(now time.Time, free int64) {
	span := now.Sub(tr.at)
	if span < trendSpan {
		return
	}
	rate := float64(tr.free-free) / span.Seconds()
	if tr.at.IsZero() {
		rate = 0
	}
	if rate > tr.rate || now.Sub(tr.seen) > trendFades {
		tr.rate, tr.seen = max(0, rate), now
	}
	tr.at, tr.free = now, free
}

// lost returns how much would be lost in d.
func (tr *trend) lost(d time.Duration) int64 { return int64(tr.rate * d.Seconds()) }

// sample looks at the disk. soon is what will be free in a while.
func (s *space) sample(now time.Time) (free, soon int64, err error) {
	if free, err = s.free(s.dir); err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trend.add(now, free)
	return free, free - s.trend.lost(roomAhead), nil
}

func (s *space) floor() int64       { return s.reserve / 4 }
func (s *space) ballastSize() int64 { return s.reserve / 8 * 3 }

// checkOpen refuses a disk on which opening the store could kill the process.
func (s *space) checkOpen() error {
	free, err := s.free(s.dir)
	if err != nil {
		return err
	}
	if free >= s.floor() {
		return nil
	}
	hint := "free some"
	if size := s.ballastHeld(); size > 0 {
		hint = fmt.Sprintf("free some, or delete %s, which is kept for this, to gain %d MB", s.ballast, size>>20)
	}
	return fmt.Errorf("%w: the disk of %s has %d MB left, %d MB are needed: %s", ErrFull, s.dir, free>>20, s.floor()>>20, hint)
}

// ballastHeld returns the reserve file's size, 0 if there is none.
func (s *space) ballastHeld() int64 {
	st, err := os.Stat(s.ballast)
	if err != nil {
		return 0
	}
	return st.Size()
}

// keepBallast makes the reserve file if it is missing and the disk has room to spare.
func (s *space) keepBallast() error {
	free, err := s.free(s.dir)
	if err != nil || s.ballastHeld() > 0 || free < s.reserve+s.ballastSize() {
		return err
	}
	f, err := os.OpenFile(s.ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("reserve file: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, s.ballastSize())
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("reserve file %s: %w", s.ballast, err), s.freeBallast())
	}
	return nil
}

// freeBallast deletes the reserve file.
func (s *space) freeBallast() error {
	if err := os.Remove(s.ballast); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free the reserve file: %w", err)
	}
	return nil
}

// FreeReserve deletes the reserve file of the store in dir, to make room on a full disk, and returns its size; 0 if there
// was none. The store makes it again when there is space to spare.
func FreeReserve(dir string) (int64, error) {
	s := newSpace(filesIn(dir), 0, nil)
	size := s.ballastHeld()
	return size, s.freeBallast()
}

// makeRoom frees the reserve file if the disk is too full for the engine to close safely.
func (s *space) makeRoom() error {
	if free, err := s.free(s.dir); err == nil && free >= s.floor() {
		return nil
	}
	return s.freeBallast()
}

// watchSpace looks at the disk, sets Low, and returns the bytes that are free, and that will be soon.
func (b *Badger) watchSpace() (free, soon int64) {
	free, soon, err := b.space.sample(time.Now())
	if err != nil {
		b.log.Warn("free space unknown", "error", err)
		return b.space.floor(), b.space.floor() // go on, with care
	}
	reserve := b.space.reserve
	if b.Low() {
		reserve += reserve / 20 // so that it does not flutter
	}
	low := free < reserve
	if b.low.Swap(low) != low {
		b.log.Warn("free space crossed the reserve", "low", low, "free_bytes", free, "reserve_bytes", b.space.reserve)
	}
	b.metrics.free.Set(float64(free))
	b.metrics.low.Set(0)
	if low {
		b.metrics.low.Set(1)
	}
	return free, soon
}

// awaitRoom tells whether the disk has room for a commit, after a pause if it is being filled fast. The pause ends when
// the floor is passed, or when the loss has stopped for trendFades.
func (b *Badger) awaitRoom() bool {
	for waited := time.Duration(0); ; waited += roomPause {
		free, soon := b.watchSpace()
		if free < b.space.floor() || waited > roomWait {
			return false
		}
		if soon >= b.space.floor() {
			return true
		}
		time.Sleep(roomPause)
	}
}
