package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/driver/sim"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

// TestTrafficLeavesNothingBehind: hours of virtual traffic through rules, queue, driver and simulated modems, with faults, and at
// the end there are no more goroutines and descriptors than before. With -soak=2 and more the store is filled first, until what
// it keeps comes and goes, and then memory is flat within 2 % too: -soak=24 is the day.
func TestTrafficLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDay(t)
		filling := 1
		if *soak > 1 {
			filling = dayFills
		}
		for range filling {
			d.hour()
		}
		first := d.measure()
		for range *soak {
			d.hour()
		}
		last := d.measure()
		d.stop()
		t.Logf("after %d h %+v, after %d h more %+v; %d codes sent, %d verified, %d texts, %d faults",
			filling, first, *soak, last, d.sends, d.verified, d.texts, d.faults)
		if last.goroutines > first.goroutines || last.descriptors > first.descriptors {
			t.Errorf("goroutines and descriptors went from %+v to %+v", first, last)
		}
		if *soak > 1 && last.heap > first.heap+first.heap/50 {
			t.Errorf("memory went from %d to %d bytes, more than 2 %%", first.heap, last.heap)
		}
		if d.verified < d.sends/2 || d.sends < 100 || d.faults < 10 {
			t.Errorf("%d of %d codes verified and %d faults: the test tests nothing", d.verified, d.sends, d.faults)
		}
	})
}

const (
	dayKeeps  = 20 * time.Minute // messages and events that have ended
	dayFills  = 27               // hours until challenges too, which are kept for a day, are collected as fast as they are made
	dayPeople = 20
	dayModems = 2
)

// day is the whole way of a code in virtual time, but for HTTP and the disk.
type day struct {
	t       *testing.T
	rng     *mrand.Rand
	kv      *store.Memory
	network *sim.Network
	queue   *gateway.Gateway
	rules   *otp.Service
	stop    func()

	sends, texts, faults int

	mu       sync.Mutex // guards what follows
	verified int
}

func newDay(t *testing.T) *day {
	d := &day{t: t, rng: mrand.New(mrand.NewPCG(24, 1)), kv: store.NewMemory(), network: sim.NewNetwork(sim.NetworkConfig{NoMagic: true, Seed: 24})}
	ring, err := keys.Generate(rand.Reader)
	d.must(err)
	d.queue, err = gateway.New(gateway.Config{KV: d.kv, Secrets: d.kv.Secrets(), Retention: dayKeeps, ReportWait: dayKeeps,
		Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
			return d.rules.Render(tx, now, m)
		}})
	d.must(err)
	policy := otp.DefaultPolicy()
	policy.Countries = []string{"GB"}
	policy.PIN.MemoryKiB, policy.PIN.Time = 8, 1
	policy.Limits = otp.LimitPolicy{}
	d.rules, err = otp.New(otp.Config{KV: d.kv, Secrets: d.kv.Secrets(), Keys: ring, Outbox: d.queue, Policy: policy, Random: rand.Reader})
	d.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range dayModems {
		d.modem(ctx, &running, fmt.Sprintf("sim%d", i))
	}
	running.Go(func() { d.must(d.queue.Run(ctx)) })
	d.stop = func() { cancel(); running.Wait() }
	<-d.queue.Ready()
	d.people()
	return d
}

// modem puts a simulated modem and its driver under the queue; every opening of the port is a new pipe.
func (d *day) modem(ctx context.Context, running *sync.WaitGroup, name string) {
	modem, err := sim.New(sim.Config{Name: name, NoPTY: true, Network: d.network, SubmitTime: 2 * time.Second, ReportDelay: 3 * time.Second})
	d.must(err)
	cfg := driver.Config{Name: name, Device: "pipe", Handler: d.queue}
	cfg.Open = func(context.Context) (io.ReadWriteCloser, error) {
		if !modem.Plugged() {
			return nil, driver.ErrAbsent
		}
		host, far := net.Pipe()
		running.Go(func() { _ = modem.Serve(ctx, far); _ = far.Close() })
		return host, nil
	}
	m, err := driver.New(cfg)
	d.must(err)
	d.must(d.queue.Attach(gateway.Route{Modem: m}))
	running.Go(func() { d.must(m.Run(ctx)) })
	running.Go(func() { <-ctx.Done(); d.must(modem.Close()) })
}

var portal = otp.Caller{Key: "key_portal"}

const dayPIN = "739154"

func person(n int) (account, phone string) {
	return fmt.Sprintf("day-%d", n), fmt.Sprintf("+4477009%05d", n)
}

// people have SMS codes turned on.
func (d *day) people() {
	ctx := context.Background()
	for n := range dayPeople {
		account, phone := person(n)
		d.must(d.rules.SetPIN(ctx, time.Now(), portal, account, dayPIN, ""))
		_, err := d.rules.Enable(ctx, time.Now(), portal, account, otp.EnableRequest{Phone: phone})
		d.must(err)
		_, err = d.rules.EnableVerify(ctx, time.Now(), portal, account, otp.VerifyRequest{Code: d.code(phone, time.Time{}), PIN: dayPIN})
		d.must(err)
	}
}

// code waits for the next code on a phone; empty: none came in its life.
func (d *day) code(phone string, after time.Time) string {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	texts, err := d.network.Wait(ctx, sim.Filter{To: phone, After: after})
	if err != nil {
		return ""
	}
	return texts[0].Code
}

// hour is 50 minutes of traffic with a fault now and then, and ten of rest in which everything comes to its end.
func (d *day) hour() {
	kinds := []sim.Kind{sim.Silence, sim.LostPort, sim.Garbage, sim.BootLoop, sim.URCFlood, sim.LostResult, sim.CMSError, sim.DuplicateReport}
	var g sync.WaitGroup
	for minute := range 50 {
		if minute%5 == 2 {
			kind := kinds[d.faults%len(kinds)]
			f := sim.Fault{Kind: kind, Modem: fmt.Sprintf("sim%d", d.faults%dayModems), For: 20 * time.Second}
			if kind == sim.LostResult || kind == sim.CMSError || kind == sim.DuplicateReport {
				f.Sends = 2
			}
			_, err := d.network.AddFault(f)
			d.must(err)
			d.faults++
		}
		who := d.rng.Perm(dayPeople)
		for _, n := range who[:3] {
			after := time.Duration(d.rng.IntN(60)) * time.Second
			d.sends++
			g.Go(func() { time.Sleep(after); d.login(n) })
		}
		d.must(d.network.Text("+447700900999", fmt.Sprintf("sim%d", minute%dayModems), fmt.Sprint("inbound ", d.texts)))
		d.texts++
		time.Sleep(time.Minute)
	}
	g.Wait()
	d.network.ClearFaults()
	time.Sleep(10 * time.Minute)
}

// login is a code sent, answered wrong and then right.
func (d *day) login(n int) {
	ctx := context.Background()
	account, phone := person(n)
	began := time.Now()
	c, err := d.rules.Create(ctx, began, portal, otp.CreateRequest{Account: account, Purpose: otp.Login})
	if err != nil {
		return // no modem is up at this moment
	}
	code := d.code(phone, began)
	if code == "" {
		return
	}
	_, err = d.rules.Verify(ctx, time.Now(), portal, c.ID, otp.VerifyRequest{Code: "000000"})
	if refusal := new(otp.Error); !errors.As(err, &refusal) {
		d.t.Errorf("a wrong code was answered %v", err)
	}
	if _, err = d.rules.Verify(ctx, time.Now(), portal, c.ID, otp.VerifyRequest{Code: code}); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.verified++
	}
}

// usage is what the process holds.
type usage struct {
	goroutines, descriptors int
	heap                    uint64
}

// measure looks when everything rests and what has had its time is collected. The audit trail is kept for ever, so its entries
// are taken out by hand.
func (d *day) measure() usage {
	d.network.Delete(sim.Filter{})
	d.kv.Collect(time.Now())
	d.must(d.kv.Update(context.Background(), func(tx store.Txn) error {
		var keys []string
		err := store.Keys(tx, store.Range{Prefix: "otp/audit/entry/"}, func(key string) bool {
			keys = append(keys, key)
			return true
		})
		for _, key := range keys {
			err = errors.Join(err, tx.Delete(key))
		}
		return err
	}))
	u := usage{goroutines: 1 << 30}
	for range 3 { // a poll of a modem may be under way
		time.Sleep(7 * time.Second)
		synctest.Wait()
		u.goroutines = min(u.goroutines, runtime.NumGoroutine())
	}
	open, err := os.ReadDir("/proc/self/fd")
	d.must(err)
	u.descriptors = len(open)
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.heap = m.HeapAlloc
	return u
}

func (d *day) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Error(err)
	}
}
