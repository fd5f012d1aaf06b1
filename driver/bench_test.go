package driver

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otpost/driver/sim"
)

// BenchmarkSend hands messages over through a pseudo-terminal, one after another. It reports for how much of the time the
// network was kept busy, from the modem's taking of a PDU to its telling of the result, and what the driver and the
// terminal spent in between, per message. The link is not kept open (More), so that each takes the whole submit time.
func BenchmarkSend(b *testing.B) {
	for _, submit := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond} {
		b.Run(submit.String(), func(b *testing.B) {
			var line busyness
			m := benchModem(b, submit, &line)
			b.ResetTimer()
			line.total.Store(0)
			start := time.Now()
			for range b.N {
				if r := m.Send(b.Context(), Submit{To: "+447700900123", Text: "Your code is 123456."}); r.Outcome != Accepted {
					b.Fatalf("%+v", r)
				}
			}
			took := time.Since(start)
			busy := time.Duration(line.total.Load())
			b.ReportMetric(float64(took-busy)/float64(b.N)/1e6, "own-ms/op")
			b.ReportMetric(100*float64(busy)/float64(took), "%busy")
		})
	}
}

// busyness adds up the time in which the network has a message. The modem calls tap one line at a time.
type busyness struct {
	since time.Time
	total atomic.Int64
}

func (l *busyness) tap(dir, line string) {
	switch {
	case dir == ">>" && !strings.HasPrefix(line, "AT"):
		l.since = time.Now()
	case dir == "<<" && strings.Contains(line, "+CMGS:"):
		l.total.Add(int64(time.Since(l.since)))
	}
}

// benchModem is a ready driver on a simulated modem, without the recording of a test.
func benchModem(b *testing.B, submit time.Duration, line *busyness) *Modem {
	modem, err := sim.New(sim.Config{SubmitTime: submit, Tap: line.tap, Network: sim.NewNetwork(sim.NetworkConfig{NoMagic: true})})
	if err != nil {
		b.Fatal(err)
	}
	changed := make(chan State, 64)
	m, err := New(Config{Name: "m1", Device: modem.Path(), Handler: watcher{&recorder{}, changed}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- modem.Run(ctx) }()
	go func() { done <- m.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; <-done; _ = modem.Close() })
	for state := range changed {
		if state == StateReady {
			break
		}
	}
	return m
}

// watcher tells of states, and drops those that nobody awaits.
type watcher struct {
	*recorder
	states chan State
}

func (w watcher) Changed(s Status) {
	select {
	case w.states <- s.State:
	default:
	}
}
