package driver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// slowly takes a while for each report, as a disk does.
type slowly struct {
	*recorder
	takes time.Duration
}

func (s slowly) Report(ctx context.Context, modem string, r Report) error {
	select {
	case <-time.After(s.takes):
		return s.recorder.Report(ctx, modem, r)
	case <-ctx.Done():
		return ctx.Err()
	}
}

const reportOf7 = "0006070C91447700091032621111413021006211114130510000"

const handedOver = "+CDS: 25\r\n" + reportOf7

// whileTaken runs f while the disk takes a report, once of one that the modem keeps and once of one that it has handed over.
func whileTaken(t *testing.T, change func(*fake), f func(t *testing.T, m *Modem, fk *fake, h *recorder)) {
	t.Helper()
	for name, urc := range map[string]string{"stored": `+CDSI: "SM",3`, "handed over": handedOver} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(fk *fake, c *Config) {
				c.Handler = slowly{c.Handler.(*recorder), 3 * time.Second}
				fk.set("+CMGR=3", "+CMGR: 0,,25\r\n"+reportOf7+"\r\n\r\nOK")
				change(fk)
			}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
				ready(t, m)
				fk.urc(urc)
				time.Sleep(100 * time.Millisecond)
				f(t, m, fk, h)
			})
		})
	}
}

// While the disk takes a report the line is free: a send goes first, and what is behind the report follows it.
func TestSendGoesBesideAReport(t *testing.T) {
	whileTaken(t, func(*fake) {}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		began := time.Now()
		for range 2 {
			if r := m.Send(t.Context(), hello); r.Outcome != Accepted {
				t.Errorf("%+v", r)
			}
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("two sends took %v", took)
		}
		if reports, _ := h.got(); len(reports) != 0 || fk.count("+CMGD=3") != 0 {
			t.Errorf("%d reports are taken, %d deleted, before the disk has them", len(reports), fk.count("+CMGD=3"))
		}
		time.Sleep(5 * time.Second)
		if reports, _ := h.got(); len(reports) != 1 || fk.count("+CMGD=3") != fk.count("+CMGR=3") {
			t.Errorf("%d reports, want one; %d read and %d deleted", len(reports), fk.count("+CMGR=3"), fk.count("+CMGD=3"))
		}
	})
}

// A send that goes first and ends the session does so, and the report is taken all the same.
func TestSendBesideAReportEndsTheSession(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		c.Handler = slowly{c.Handler.(*recorder), 3 * time.Second}
		fk.submit = func(int, string) any { return "" } // the line still owes that, so it is opened afresh
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		fk.urc(handedOver)
		time.Sleep(100 * time.Millisecond)
		if r := m.Send(t.Context(), hello); r.Outcome != Unknown || r.Code != CodeTimeout {
			t.Errorf("%+v", r)
		}
		if r := m.Send(t.Context(), hello); r.Outcome != Refused || r.Code != CodeNotReady {
			t.Errorf("%+v, into a session that is over", r)
		}
		time.Sleep(time.Minute)
		reports, _ := h.got()
		if state := m.Status().State; state != StateReady || fk.count("+CGMM") != 2 || len(reports) != 1 {
			t.Errorf("the modem is %s in session %d, and has %d reports; want it ready in the second, and one", state, fk.count("+CGMM"), len(reports))
		}
	})
}

// No send goes before other news that came with a report: here, that the modem has restarted.
func TestNoSendBeforeOtherNews(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) { c.Handler = slowly{c.Handler.(*recorder), 3 * time.Second} },
		func(t *testing.T, m *Modem, fk *fake, h *recorder) {
			ready(t, m)
			fk.urc(handedOver + "\r\nRDY")
			time.Sleep(100 * time.Millisecond)
			if r := m.Send(t.Context(), hello); r.Outcome != Refused || r.Code != CodeNotReady {
				t.Errorf("%+v, of a modem that has restarted", r)
			}
			if n := fk.count("+CMGS=*"); n != 0 {
				t.Errorf("%d hand-overs began", n)
			}
			if reports, _ := h.got(); len(reports) != 1 {
				t.Errorf("%d reports, want one", len(reports))
			}
		})
}

// What a send that went first makes of the session is not passed over: here that it is to be opened afresh, with a line in step.
func TestFaultsBesideAReport(t *testing.T) {
	whileTaken(t, func(fk *fake) {
		submit := fk.submit
		fk.submit = func(n int, pdu string) any {
			if n <= faultLimit {
				return "\r\n+CMS ERROR: 500\r\n"
			}
			return submit(n, pdu)
		}
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		results := make(chan Result)
		for range faultLimit + 1 {
			go func() { results <- m.Send(t.Context(), hello) }()
		}
		turnedAway := 0
		for range faultLimit + 1 {
			if r := <-results; r.Code == CodeNotReady {
				turnedAway++
			}
		}
		if state := m.Status().State; state != StateRecovering || turnedAway != 1 {
			t.Errorf("the modem is %s behind %d faults, and %d are turned away", state, faultLimit, turnedAway)
		}
		time.Sleep(time.Minute)
		if r := m.Send(t.Context(), hello); r.Outcome != Accepted || fk.count("+CGMM") != 2 {
			t.Errorf("%+v in session %d, want it accepted in the second", r, fk.count("+CGMM"))
		}
	})
}

// No send begins within a send, whatever comes meanwhile.
func TestNoSendWithinASend(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		c.Handler = slowly{c.Handler.(*recorder), 3 * time.Second}
		submit := fk.submit
		fk.submit = func(n int, pdu string) any {
			if n > 1 {
				return submit(n, pdu)
			}
			return []chunk{{12 * time.Second, "\r\n" + handedOver + "\r\n"}, {5 * time.Second, submit(n, pdu).(string)}}
		}
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		results := make(chan Result, 2)
		for range 2 {
			go func() { results <- m.Send(t.Context(), hello) }()
		}
		time.Sleep(14 * time.Second)
		if n := fk.count("+CMGS=*"); n != 1 {
			t.Errorf("%d hand-overs began while the first lasts", n)
		}
		for range 2 {
			if r := <-results; r.Outcome != Accepted {
				t.Errorf("%+v", r)
			}
		}
		if reports, _ := h.got(); len(reports) != 1 {
			t.Errorf("%d reports, want one", len(reports))
		}
	})
}

// A report that comes beside another is taken during the send that went before it.
func TestReportWaitsForNoVerdict(t *testing.T) {
	whileTaken(t, func(fk *fake) {
		fk.submit = func(int, string) any { return []chunk{{30 * time.Second, "\r\n+CMGS: 8\r\n\r\nOK\r\n"}} }
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		fk.urc(strings.Replace(handedOver, "000607", "000608", 1))
		time.Sleep(100 * time.Millisecond)
		result := make(chan Result)
		go func() { result <- m.Send(t.Context(), hello) }()
		time.Sleep(20 * time.Second)
		if reports, _ := h.got(); len(reports) != 2 {
			t.Errorf("%d reports are taken while a verdict is awaited, want both", len(reports))
		}
		if r := <-result; r.Outcome != Accepted {
			t.Errorf("%+v", r)
		}
	})
}

// No send follows one that ended the session.
func TestNoSendBehindTheEnd(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		c.Handler = slowly{c.Handler.(*recorder), 4 * time.Second}
		fk.submit = func(int, string) any { return []chunk{{time.Second, "\r\nRDY\r\n"}} }
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		fk.urc(handedOver)
		time.Sleep(100 * time.Millisecond)
		results := make(chan Result, 2)
		for range 2 {
			go func() { results <- m.Send(t.Context(), hello) }()
		}
		a, b := <-results, <-results
		if a.Outcome == Refused {
			a, b = b, a
		}
		if a.Outcome != Unknown || b.Outcome != Refused || b.Code != CodeNotReady || fk.count("+CMGS=*") != 1 {
			t.Errorf("%+v and %+v of %d hand-overs; want one in doubt, and one refused", a, b, fk.count("+CMGS=*"))
		}
	})
}

// A restart is noticed before another send, also while a list of reports is taken, in one go.
func TestRestartAmongReports(t *testing.T) {
	const reports = 20
	list := ""
	for i := range reports {
		list += fmt.Sprintf("+CMGL: %d,0,,25\r\n0006%02X0C91447700091032621111413021006211114130510000\r\n", i, i)
	}
	bubble(t, func(fk *fake, c *Config) {
		c.Handler = slowly{c.Handler.(*recorder), 4 * time.Second}
		fk.set("+CMGL=4", list+"\r\nOK")
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		time.Sleep(settleTime)
		fk.set("+CPMS?", "+CPMS: "+strings.Repeat(`,"ME",20,255`, 3)[1:]+"\r\n\r\nOK")
		until(t, 5*time.Minute, "list", func() bool { return fk.count("+CMGL=4") > 0 })
		time.Sleep(10 * time.Millisecond)
		result := make(chan Result)
		go func() { result <- m.Send(t.Context(), hello) }()
		time.Sleep(10 * time.Second)
		fk.urc("RDY")
		if r := <-result; r.Code != CodeNotReady || fk.count("+CMGS=*") != 0 {
			t.Errorf("%+v, of a modem that has restarted, and %d hand-overs", r, fk.count("+CMGS=*"))
		}
	})
}

// So it is while a single report is taken.
func TestRestartBesideAReport(t *testing.T) {
	whileTaken(t, func(*fake) {}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		fk.urc("RDY")
		time.Sleep(10 * time.Millisecond)
		if r := m.Send(t.Context(), hello); r.Code != CodeNotReady || fk.count("+CMGS=*") != 0 {
			t.Errorf("%+v, of a modem that has restarted, and %d hand-overs", r, fk.count("+CMGS=*"))
		}
	})
}

// A report that comes behind the news of a restart is taken.
func TestReportAtTheEnd(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		fk.urc("RDY\r\n" + handedOver)
		time.Sleep(time.Second)
		if reports, _ := h.got(); len(reports) != 1 {
			t.Errorf("%d reports behind a restart, want one", len(reports))
		}
	})
}

// A report that comes while a daemon that stops waits for a verdict is taken.
func TestReportWhileStopping(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		h := c.Handler.(*recorder)
		c.Handler = slowly{h, 100 * time.Millisecond}
		fk.submit = func(int, string) any {
			return []chunk{{12 * time.Second, "\r\n" + handedOver + "\r\n"}, {time.Second, "\r\n+CMGS: 8\r\n\r\nOK\r\n"}}
		}
		fk.t.Cleanup(func() { // behind the stop
			if reports, _ := h.got(); len(reports) != 1 {
				t.Errorf("%d reports, want one", len(reports))
			}
		})
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		go m.Send(context.Background(), hello)
		time.Sleep(11500 * time.Millisecond)
	})
}
