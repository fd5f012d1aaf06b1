package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

func slow(each time.Duration) func(*testing.T) *bench {
	return func(t *testing.T) *bench {
		b := newBench(t, 1)
		b.route = func(r *Route) { r.SubmitTime = each }
		b.modems[0].script = func(int, driver.Submit) fakeAct { return accept(each) }
		return b
	}
}

// A burst of codes to one slow modem: what is accepted arrives in time, the rest is refused at once, nothing is sent
// dead. Lanes are mixed, so that urgent codes do not break what was promised to others.
func TestBurst(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		t.Run(fmt.Sprintf("mixed=%v", mixed), func(t *testing.T) {
			inBubble(t, slow(6*time.Second), func(t *testing.T, b *bench) {
				var accepted []string
				began, refused := time.Now(), 0
				for i := range 200 {
					d := code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute)
					if mixed {
						d.Lane = []Lane{LaneEnrol, LaneLogin, LaneWithdrawal}[i%3]
					}
					id, err := b.try(d)
					var full *CapacityError
					switch {
					case err == nil:
						accepted = append(accepted, id)
					case errors.As(err, &full) && !full.NoModem && full.RetryAfter > 0 && full.RetryAfter <= time.Hour:
						refused++
					default:
						t.Fatalf("Enqueue: %v", err)
					}
				}
				if !time.Now().Equal(began) {
					t.Errorf("refusing took %v", time.Since(began))
				}
				if len(accepted) < 30 || len(accepted)+refused != 200 {
					t.Errorf("%d accepted, %d refused", len(accepted), refused)
				}
				t.Logf("%d accepted, %d refused", len(accepted), refused)
				sleep(10 * time.Minute)
				for _, id := range accepted {
					b.wantStatus(id, Sent)
				}
				for _, text := range b.net.all() {
					if text.at.Sub(began) > 5*time.Minute {
						t.Errorf("a code arrived dead, after %v", text.at.Sub(began))
					}
				}
			})
		})
	}
}

// Retry-After is honest: asked again then, a code is taken.
func TestRetryAfterIsHonest(t *testing.T) {
	inBubble(t, slow(6*time.Second), func(t *testing.T, b *bench) {
		var full *CapacityError
		for i := 0; full == nil; i++ {
			if _, err := b.try(code(fmt.Sprintf("+4477009%05d", i), 2*time.Minute)); err != nil && !errors.As(err, &full) {
				t.Fatal(err)
			}
		}
		sleep(full.RetryAfter + time.Second)
		b.enqueue(code(alice, 2*time.Minute))
	})
}

// The pace is measured: a modem that is faster than thought takes more, a slower one less.
func TestPaceIsMeasured(t *testing.T) {
	room := func(each time.Duration) int {
		n := 0
		inBubble(t, func(t *testing.T) *bench {
			b := slow(each)(t)
			b.route = func(r *Route) { r.SubmitTime = 6 * time.Second }
			return b
		}, func(t *testing.T, b *bench) {
			for i := range 10 {
				b.enqueue(code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute))
				sleep(each)
			}
			for ; n < 1000; n++ {
				if _, err := b.try(code(fmt.Sprintf("+4477109%05d", n), 5*time.Minute)); err != nil {
					return
				}
			}
		})
		return n
	}
	if fast, slow := room(time.Second), room(20*time.Second); fast < 200 || slow > 15 {
		t.Errorf("room for %d codes at 1 s, %d at 20 s", fast, slow)
	}
}

func TestNoModem(t *testing.T) {
	var full *CapacityError
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.route = func(r *Route) { r.Prefixes = []string{"+44"} }
		b.start()
		if _, err := b.try(code("+15550100123", time.Minute)); !errors.As(err, &full) || !full.NoModem {
			t.Errorf("a number that no modem is for: %v", err)
		}
		b.modems[0].set(b.g, driver.StateRecovering)
		b.enqueue(code(alice, 2*time.Minute)) // it may be back in a moment
		sleep(10 * time.Minute)
		if _, err := b.try(code(alice, 5*time.Minute)); !errors.As(err, &full) || !full.NoModem || full.RetryAfter == 0 {
			t.Errorf("a modem that is down: %v", err)
		}
		b.enqueue(text(alice, "can wait"))
		b.end()
	})
}

func TestStorageLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.config = func(c *Config) { c.StoreLow = func() bool { return true } }
		b.build()
		if _, err := b.try(code(alice, time.Minute)); !errors.Is(err, ErrStorageLow) {
			t.Errorf("Enqueue: %v", err)
		}
	})
}

// A reservation ends with its transaction, whether that commits or not.
func TestReservationEnds(t *testing.T) {
	inBubble(t, slow(6*time.Second), func(t *testing.T, b *bench) {
		for range 1000 {
			err := b.kv.Update(context.Background(), func(tx store.Txn) error {
				if _, err := b.g.Enqueue(tx, time.Now(), code(alice, time.Minute)); err != nil {
					return err
				}
				return errDead
			})
			if !errors.Is(err, errDead) {
				t.Fatalf("Enqueue in a transaction that fails: %v", err)
			}
		}
		b.enqueue(code(alice, time.Minute))
	})
}

func TestBadDrafts(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Draft)
		field  string
	}{
		{"letters", func(d *Draft) { d.To = "+44PHONE" }, "to"},
		{"no plus", func(d *Draft) { d.To = "447700900123" }, "to"},
		{"empty text", func(d *Draft) { d.Text = "" }, "text"},
		{"12 parts", func(d *Draft) { d.Text = string(make([]byte, 153*12)) }, "text"},
		{"ttl of zero", func(d *Draft) { d.NotAfter = time.Now() }, "ttl"},
		{"ttl of a year", func(d *Draft) { d.NotAfter = time.Now().AddDate(1, 0, 0) }, "ttl"},
		{"no lane", func(d *Draft) { d.Lane = 9 }, "priority"},
		{"no kind", func(d *Draft) { d.Kind = "" }, "kind"},
		{"code with text", func(d *Draft) { d.Kind, d.Ref = KindCode, "x" }, "text"},
		{"no such policy", func(d *Draft) { d.Unsure = "perhaps" }, "uncertain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 1)
				b.build()
				d := text(alice, "hello")
				tt.change(&d)
				_, err := b.try(d)
				var bad *InvalidError
				if !errors.As(err, &bad) || bad.Field != tt.field {
					t.Errorf("Enqueue: %v, want a mistake in %s", err, tt.field)
				}
			})
		})
	}
}

func TestBadRoutes(t *testing.T) {
	good := Route{Modem: newFakeModem("m0", nil)}
	tests := []struct {
		name   string
		change func(*Route)
		want   string
	}{
		{"no prefix", func(r *Route) { r.Prefixes = []string{"44"} }, `prefixes: "44" of modem m0 is no prefix: write it like "+44"`},
		{"letters", func(r *Route) { r.Prefixes = []string{"+4a"} }, `prefixes: "+4a" of modem m0 is no prefix: write it like "+44"`},
		{"negative", func(r *Route) { r.PerDay = -1 }, "modem: modem m0 has a negative limit"},
		{"no modem", func(r *Route) { r.Modem = nil }, "modem: a route needs one"},
		{"odd name", func(r *Route) { r.Modem = newFakeModem("m 0", nil) }, `modem: "m 0" is not a name: letters, digits, '.', '_' and '-' only`},
		{"twice", func(r *Route) {}, `modem: two modems are named "m0"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := New(Config{KV: store.NewMemory(), Secrets: testSecrets, Render: renderTest})
			if err != nil {
				t.Fatal(err)
			}
			r := good
			tt.change(&r)
			if err := g.Attach(good); err != nil {
				t.Fatal(err)
			}
			if err := g.Attach(r); err == nil || err.Error() != tt.want {
				t.Errorf("Attach = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestParts(t *testing.T) {
	repeat := func(s string, n int) string {
		out := ""
		for range n {
			out += s
		}
		return out
	}
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"empty", "", 1}, {"160", repeat("a", 160), 1}, {"161", repeat("a", 161), 2}, {"306", repeat("a", 306), 2}, {"307", repeat("a", 307), 3},
		{"euro counts twice", repeat("€", 80), 1}, {"euros over", repeat("€", 81), 2}, {"no escape is split", repeat("a", 152) + "€" + repeat("a", 152), 3},
		{"70 wide", repeat("ж", 70), 1}, {"71 wide", repeat("ж", 71), 2}, {"emoji are two", repeat("😀", 35), 1}, {"no pair is split", repeat("😀", 67), 3},
	} {
		if got := Parts(tt.text); got != tt.want {
			t.Errorf("%s: Parts = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestDrain(t *testing.T) {
	const s, h = time.Second, time.Hour
	tests := []struct {
		name    string
		servers []server
		parts   int
		want    time.Duration
	}{
		{"one", []server{{each: 6 * s, left: unlimited}}, 10, 60 * s},
		{"two alike", []server{{each: 6 * s, left: unlimited}, {each: 6 * s, left: unlimited}}, 10, 30 * s},
		{"one of them busy", []server{{each: 6 * s, left: unlimited, delay: 30 * s}, {each: 6 * s, left: unlimited}}, 10, 45 * s},
		{"one of them busy for longer", []server{{each: 6 * s, left: unlimited, delay: 90 * s}, {each: 6 * s, left: unlimited}}, 10, 60 * s},
		{"one without quota", []server{{each: s, renew: h, quota: 5}, {each: 6 * s, left: unlimited}}, 10, 60 * s},
		{"one with a little quota", []server{{each: s, left: 4, renew: h, quota: 5}, {each: 6 * s, left: unlimited}}, 10, 36 * s},
		{"over midnight", []server{{each: s, left: 4, renew: 2 * h, quota: 10}}, 10, 2*h + 6*s},
		{"over two midnights", []server{{each: s, left: 4, renew: 2 * h, quota: 10}}, 17, 26*h + 3*s},
		{"never", []server{{each: s, left: 4, renew: 2 * h}}, 10, never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := drain(tt.servers, tt.parts).Round(time.Millisecond); got != tt.want {
				t.Errorf("drain = %v, want %v", got, tt.want)
			}
		})
	}
}

// When every modem for a number rests or is quarantined, whoever sends is told when the first is back.
func TestRetryAfterRest(t *testing.T) {
	tests := []struct {
		name string
		acts [2]fakeAct
		down bool // m1
		want [2]time.Duration
	}{
		{"both are quarantined", [2]fakeAct{refuse(driver.ClassCredit, "cms-34"), refuse(driver.ClassCredit, "cms-34")}, false, [2]time.Duration{14 * time.Minute, firstQuarantine}},
		{"one rests before the other", [2]fakeAct{refuse(driver.ClassModem, "cms-500"), refuse(driver.ClassCredit, "cms-34")}, false, [2]time.Duration{time.Second, firstRest}},
		{"one is down", [2]fakeAct{refuse(driver.ClassCredit, "cms-34"), accept(time.Second)}, true, [2]time.Duration{retryUnknown, retryUnknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(2), func(t *testing.T, b *bench) {
				for i, m := range b.modems {
					m.plays(func(int, driver.Submit) fakeAct { return tt.acts[i] })
				}
				if tt.down {
					sleep(2 * bootGrace)
					b.modems[1].set(b.g, driver.StateDown)
					sleep(2 * bootGrace)
				}
				b.enqueue(code(alice, 9*time.Minute))
				for began := time.Now(); time.Since(began) < 9*time.Minute; {
					var full *CapacityError
					if _, err := b.try(code(bob, time.Minute)); errors.As(err, &full) {
						if !full.NoModem || full.RetryAfter < tt.want[0] || full.RetryAfter > tt.want[1] {
							t.Errorf("refused with %+v, want between %v and %v", full, tt.want[0], tt.want[1])
						}
						return
					}
					sleep(time.Second)
				}
				t.Error("never refused")
			})
		})
	}
}
