package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
)

// A message whose first part was refused on, and whose second was in doubt until its report came, is sent.
func TestSettledInSeveralAttempts(t *testing.T) {
	now := time.Now()
	m := Message{Parts: 2, Status: Uncertain, NotAfter: now.Add(time.Hour), Attempts: []Attempt{
		{ICCID: "a", Outcome: driver.Refused, Class: driver.ClassNetwork, References: []uint8{1}, DoneAt: now},
		{ICCID: "a", Outcome: driver.Unknown, First: 1, DoneAt: now},
	}}
	if pin := m.pinned(); pin != "a" {
		t.Errorf("half of it is out: pinned to %q", pin)
	}
	m.settleByReport(now, 1, driver.Report{Reference: 2, Status: 0x30})
	if pin := m.pinned(); m.Status != Sent || pin != "" {
		t.Errorf("all of it is out: %s, pinned to %q", m.Status, pin)
	}
}

// The fate of each of two parts.
func TestFate(t *testing.T) {
	now := time.Now()
	reports := func(status ...byte) []PartReport {
		var all []PartReport
		for _, s := range status {
			all = append(all, PartReport{Status: s, At: now})
		}
		return all
	}
	tests := []struct {
		name     string
		attempts []Attempt
		want     [2]partFate
	}{
		{"one reported", []Attempt{{Outcome: driver.Accepted, Taken: 2, References: []uint8{1, 2}, Reports: reports(0)}}, [2]partFate{partDelivered, partOpen}},
		{"one reported as lost", []Attempt{{Outcome: driver.Accepted, Taken: 2, References: []uint8{1, 2}, Reports: reports(0x41, 0)}}, [2]partFate{partFailed, partDelivered}},
		{"one reference was not told", []Attempt{{Outcome: driver.Accepted, Taken: 2, References: []uint8{2}, Reports: reports(0)}}, [2]partFate{partOpen, partOpen}},
		{"one reference was not told, the other's part is lost", []Attempt{{Outcome: driver.Accepted, Taken: 2, References: []uint8{2}, Reports: reports(0x41)}}, [2]partFate{partFailed, partFailed}},
		{"the second send has brought it", []Attempt{{Outcome: driver.Unknown}, {Outcome: driver.Accepted, References: []uint8{1, 2}, Reports: reports(0, 0)}}, [2]partFate{partDelivered, partDelivered}},
		{"the second send is lost, the first may have brought it", []Attempt{{Outcome: driver.Unknown}, {Outcome: driver.Accepted, References: []uint8{1, 2}, Reports: reports(0x41, 0)}}, [2]partFate{partOpen, partDelivered}},
	}
	for _, tt := range tests {
		m := Message{Parts: 2, Attempts: tt.attempts}
		if diff := cmp.Diff(tt.want, [2]partFate{m.fate(0), m.fate(1)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What was refused without asking the modem neither speaks for it nor against it.
func TestOwnRefusals(t *testing.T) {
	now := time.Now()
	for _, code := range []string{errExpired, errStopped, errSIMChanged, driver.CodeCanceled} {
		m := modemState{faults: breakerFaults - 1}
		refused := driver.Result{Outcome: driver.Refused, Class: driver.ClassModem, Code: code}
		if m.fault(now, refused); m.faults != breakerFaults-1 {
			t.Errorf("%s: %d faults in a row, want %d", code, m.faults, breakerFaults-1)
		}
		msg := Message{Attempts: []Attempt{{ICCID: "a", Outcome: driver.Refused, Code: code}, {ICCID: "b", Outcome: driver.Refused, Code: "cms-38"}}}
		if diff := cmp.Diff([]string{"b"}, msg.failedOn()); diff != "" {
			t.Errorf("%s: SIMs to shun (-want +got):\n%s", code, diff)
		}
	}
	m := modemState{faults: breakerFaults - 1}
	if m.fault(now, driver.Result{Outcome: driver.Refused, Class: driver.ClassModem, Code: "cms-500"}); !m.restUntil.After(now) {
		t.Error("a modem with too many faults does not rest")
	}
}

// What waits of a text is the parts that are not out yet: pace and quotas have to fit those only.
func TestRecordOfTheRest(t *testing.T) {
	m := &Message{Parts: 5, Status: Queued, Attempts: []Attempt{
		{ICCID: "a", Outcome: driver.Refused, Code: driver.CodeYielded, Taken: 2, References: []uint8{1, 2}},
		{ICCID: "a", Outcome: driver.Refused, Code: driver.CodeYielded, First: 2, Taken: 1, References: []uint8{3}},
	}}
	if r := recordOf(m); r.Parts != 2 || r.Pin != "a" {
		t.Errorf("%d parts by %q, want 2 by a", r.Parts, r.Pin)
	}
}

// What has begun to go out by a modem that tells no SIM goes on after the report of a part, too.
func TestReportOfBegunTextWithoutSIM(t *testing.T) {
	for _, iccid := range []string{"8944", ""} {
		now := time.Now()
		m := Message{Kind: KindText, Text: "long", Status: Sending, Parts: 3, NotAfter: now.Add(time.Hour), Attempts: []Attempt{{Modem: "m0", ICCID: iccid, ClaimedAt: now}}}
		m.verdict(now, 0, driver.Result{Outcome: driver.Refused, Code: driver.CodeYielded, ICCID: iccid, Parts: 3, Taken: 1, References: []uint8{7}})
		m.report(now, 0, 0, driver.Report{Reference: 7})
		if m.Status != Queued || m.Text == "" {
			t.Errorf("sim %q: %s with text %q, want the rest to be queued", iccid, m.Status, m.Text)
		}
	}
}

// Reports that come before the verdict teach references in their own order; the verdict brings that of the parts, or nothing.
func TestVerdictAfterReports(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result driver.Result
		want   []uint8
	}{
		{"accepted", driver.Result{Outcome: driver.Accepted, Taken: 3, References: []uint8{10, 11, 12}}, []uint8{10, 11, 12}},
		{"accepted, no references told", driver.Result{Outcome: driver.Accepted, Taken: 3}, []uint8{12, 10}},
		{"unknown", driver.Result{Outcome: driver.Unknown}, []uint8{12, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			m := Message{Kind: KindText, Text: "long", Status: Sending, Parts: 3, Unsure: Keep, NotAfter: now.Add(time.Hour), Attempts: []Attempt{{Modem: "m0", ICCID: "a", ClaimedAt: now}}}
			m.overdue(now, 0, errOverdue)
			m.settleByReport(now, 0, driver.Report{Reference: 12})
			m.settleByReport(now, 0, driver.Report{Reference: 10})
			tt.result.Parts = 3
			m.verdict(now, 0, tt.result)
			if diff := cmp.Diff(tt.want, m.Attempts[0].References); diff != "" {
				t.Errorf("references (-want +got):\n%s", diff)
			}
			if len(tt.want) == 3 {
				m.report(now, 0, 1, driver.Report{Reference: 11})
			} else {
				m.settleByReport(now, 0, driver.Report{Reference: 11})
			}
			if m.Status != Delivered {
				t.Errorf("%s after reports of all parts: %+v", m.Status, m.Attempts)
			}
		})
	}
}
