package otp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

const (
	account = "alice-7"
	number  = "+447700900123"
	pin     = "739264"
)

var caller = otp.Caller{Key: "key_portal"}

// modem takes a second for each text and keeps it.
type modem struct {
	hold chan struct{} // closed: it sends

	mu    sync.Mutex // owns texts
	texts []string
}

func (m *modem) Name() string { return "m1" }

func (m *modem) Status() driver.Status {
	return driver.Status{Name: "m1", State: driver.StateReady, ICCID: "8944", Registration: "home", Reports: true}
}

func (m *modem) Send(ctx context.Context, s driver.Submit) driver.Result {
	<-m.hold
	time.Sleep(time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.texts = append(m.texts, s.Text)
	return driver.Result{
		Outcome: driver.Accepted, References: []uint8{uint8(len(m.texts))}, Taken: 1, Parts: 1, ICCID: "8944", Submitted: time.Now(), Done: time.Now(),
	}
}

func (m *modem) sent() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.texts)
}

func (m *modem) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.texts) == 0 {
		return ""
	}
	return m.texts[len(m.texts)-1]
}

// system is the rules over the real queue.
type system struct {
	t     *testing.T
	kv    *store.Memory
	rules *otp.Service
	queue *gateway.Gateway
	modem *modem
}

// withSystem runs f in fake time over a running gateway.
func withSystem(t *testing.T, f func(*system), change ...func(*otp.Policy)) {
	synctest.Test(t, func(t *testing.T) {
		s := &system{t: t, kv: store.NewMemory(), modem: &modem{hold: make(chan struct{})}}
		ring, err := keys.Generate(rand.Reader)
		s.must(err)
		s.queue, err = gateway.New(gateway.Config{KV: s.kv, Secrets: s.kv.Secrets(), Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
			return s.rules.Render(tx, now, m)
		}})
		s.must(err)
		s.must(s.queue.Attach(gateway.Route{Modem: s.modem}))
		policy := otp.DefaultPolicy()
		policy.Countries = []string{"GB"}
		policy.PIN.MemoryKiB, policy.PIN.Time = 8, 1
		for _, c := range change {
			c(&policy)
		}
		s.rules, err = otp.New(otp.Config{KV: s.kv, Secrets: s.kv.Secrets(), Keys: ring, Outbox: s.queue, Policy: policy, Random: rand.Reader})
		s.must(err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.queue.Run(ctx) }()
		<-s.queue.Ready()
		f(s)
		cancel()
		s.must(<-ended)
	})
}

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

var digits = regexp.MustCompile(`\b[0-9]{6}\b`)

func (s *system) code() string { return digits.FindString(s.modem.last()) }

func (s *system) enable() {
	ctx := context.Background()
	s.must(s.rules.SetPIN(ctx, time.Now(), caller, account, pin, ""))
	_, err := s.rules.Enable(ctx, time.Now(), caller, account, otp.EnableRequest{Phone: number})
	s.must(err)
	time.Sleep(10 * time.Second)
	a, err := s.rules.EnableVerify(ctx, time.Now(), caller, account, otp.VerifyRequest{Code: s.code(), PIN: pin})
	s.must(err)
	if a.Grade != 1 {
		s.t.Errorf("grade %d", a.Grade)
	}
	time.Sleep(time.Hour)
}

// delivered waits until the modem has sent its next text, and brings the report of it.
func (s *system) delivered(to string) {
	s.t.Helper()
	time.Sleep(2 * time.Second)
	r := driver.Report{ICCID: "8944", Reference: uint8(len(s.modem.sent())), Recipient: to, Sent: time.Now().Add(-time.Second), At: time.Now()}
	s.must(s.queue.Report(context.Background(), "m1", r))
}

func (s *system) status(id string) gateway.Status {
	s.t.Helper()
	v, err := s.rules.Challenge(context.Background(), time.Now(), id)
	s.must(err)
	return v.Message.Status
}

func TestCodesGoThroughTheRealQueue(t *testing.T) {
	withSystem(t, func(s *system) {
		close(s.modem.hold)
		s.enable()
		if !strings.HasPrefix(s.modem.last(), "Your code to turn on SMS security codes: ") {
			t.Errorf("text %q", s.modem.last())
		}
		ctx := context.Background()
		v, err := s.rules.Create(ctx, time.Now(), caller, otp.CreateRequest{Account: account, Purpose: otp.Login})
		s.must(err)
		time.Sleep(time.Minute)
		first := s.code()
		if got := s.status(v.ID); got != gateway.Sent {
			t.Errorf("message is %s", got)
		}
		_, err = s.rules.Resend(ctx, time.Now(), caller, v.ID)
		s.must(err)
		time.Sleep(10 * time.Second)
		if s.code() != first || len(s.modem.sent()) != 3 {
			t.Errorf("resent %q as the %d. text, first %q", s.code(), len(s.modem.sent()), first)
		}
		v, err = s.rules.Verify(ctx, time.Now(), caller, v.ID, otp.VerifyRequest{Code: s.code()})
		s.must(err)
		if v.Status != otp.Verified {
			t.Errorf("challenge is %s", v.Status)
		}
		time.Sleep(40 * 24 * time.Hour) // the messages are gone; only the account still knows the phone
		s.kv.Collect(time.Now())
		in := driver.Inbound{ICCID: "8944", From: number, Text: "stop", Sent: time.Now(), At: time.Now()}
		s.must(s.queue.Inbound(ctx, "m", in))
		s.must(s.rules.Erase(ctx, time.Now(), caller, account))
		s.must(s.kv.View(ctx, func(tx store.Txn) error {
			return tx.Scan(store.Range{}, func(key string, value []byte) bool {
				if strings.HasPrefix(key, "gw/ref/") { // by which a delivery report still on its way is told apart, until it is collected
					return true
				}
				if strings.Contains(string(value), number) || strings.Contains(string(value), account) {
					t.Errorf("after the erasure %s still tells who", key)
				}
				return true
			})
		}))
	})
}

// What ends while it waits in the queue is never transmitted.
func TestWhatEndsInTheQueueIsNotSent(t *testing.T) {
	ctx := context.Background()
	tests := map[string]func(s *system, id string){
		"left alone": func(*system, string) {}, // the control: this one is sent
		"canceled":   func(s *system, id string) { s.must(s.rules.Cancel(ctx, time.Now(), caller, id)) },
		"superseded and canceled": func(s *system, id string) {
			v, err := s.rules.Create(ctx, time.Now(), caller, otp.CreateRequest{Account: account, Purpose: otp.Login})
			s.must(err)
			s.must(s.rules.Cancel(ctx, time.Now(), caller, v.ID))
		},
		"erased":  func(s *system, id string) { s.must(s.rules.Erase(ctx, time.Now(), caller, account)) },
		"expired": func(s *system, id string) { time.Sleep(5 * time.Minute) },
		"guessed at": func(s *system, id string) {
			for range 5 {
				_, err := s.rules.Verify(ctx, time.Now(), caller, id, otp.VerifyRequest{Code: "000000"})
				if e := new(otp.Error); !errors.As(err, &e) || e.Code != otp.VerificationFailed {
					s.t.Fatal(err) // one in a million: it was right
				}
			}
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			withSystem(t, func(s *system) {
				go func() { s.modem.hold <- struct{}{} }() // the enabling passes, then the modem is busy
				s.enable()
				busy, err := s.rules.Disable(ctx, time.Now(), caller, account, "")
				s.must(err)
				synctest.Wait()
				if got := s.status(busy.ID); got != gateway.Sending {
					t.Fatalf("the modem is not busy: %s", got)
				}
				v, err := s.rules.Create(ctx, time.Now(), caller, otp.CreateRequest{Account: account, Purpose: otp.Login})
				s.must(err)
				before := len(s.modem.sent())
				end(s, v.ID)
				close(s.modem.hold)
				time.Sleep(10 * time.Minute)
				want := 1 // that the modem held
				if name == "left alone" {
					want = 2
				}
				if more := s.modem.sent()[before:]; len(more) != want {
					t.Errorf("%d texts, want %d: %q", len(more), want, more)
				}
			})
		})
	}
}
