package console

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/api/wire"
)

// What needs attention is said, with the page that tells what to do; what is well is not.
func TestAlerts(t *testing.T) {
	words, err := loadCatalogue("en")
	if err != nil {
		t.Fatal(err)
	}
	now, none := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), 0
	ready := wire.Modem{Name: "a", State: "ready", SignalDBm: -71}
	for _, tt := range []struct {
		name     string
		overview wire.Overview
		modems   []wire.Modem
		webhooks []wire.Webhook
		want     []string // tone and page
	}{
		{"all is well", wire.Overview{Recent: wire.Recent{Messages: map[string]int{"delivered": 100, "failed": 3}, Sent: wire.Spread{Count: 100, P95: 3}}},
			[]wire.Modem{ready}, []wire.Webhook{{Pending: 1, OldestAt: now.Add(-time.Minute)}}, nil},
		{"disk", wire.Overview{StorageLow: true}, []wire.Modem{ready}, nil, []string{"bad /docs/runbook/OtpostStorageLow"}},
		{"slow", wire.Overview{Recent: wire.Recent{Sent: wire.Spread{Count: 5, P95: 31}}}, []wire.Modem{ready}, nil, []string{"warn /docs/runbook/OtpostCodesSlow"}},
		{"slow, but few", wire.Overview{Recent: wire.Recent{Sent: wire.Spread{Count: 4, P95: 31}}}, []wire.Modem{ready}, nil, nil},
		{"failing", wire.Overview{Recent: wire.Recent{Messages: map[string]int{"delivered": 30, "failed": 1, "expired": 1, "undelivered": 1, "uncertain": 1}}},
			[]wire.Modem{ready}, nil, []string{"warn /docs/runbook/OtpostMessagesFailing"}},
		{"no modem at all", wire.Overview{}, nil, nil, []string{"bad /docs/runbook/OtpostNoModem"}},
		{"one of two", wire.Overview{}, []wire.Modem{ready, {Name: "b", State: "searching"}}, nil, []string{"bad /docs/runbook/OtpostModemDown"}},
		{"paused", wire.Overview{}, []wire.Modem{ready, {Name: "b", State: "ready", Paused: true}}, nil, []string{"warn "}},
		{"resting", wire.Overview{}, []wire.Modem{ready, {Name: "b", State: "ready", Quarantined: "credit"}}, nil, []string{"bad /docs/runbook/OtpostSIMExhausted"}},
		{"quota", wire.Overview{}, []wire.Modem{{Name: "b", State: "ready", DayLeft: &none}}, nil,
			[]string{"warn /docs/runbook/OtpostSIMExhausted", "bad /docs/runbook/OtpostNoModem"}},
		{"weak", wire.Overview{}, []wire.Modem{{Name: "b", State: "ready", SignalDBm: -107}}, nil, []string{"warn /docs/runbook/OtpostModemDown"}},
		{"webhooks", wire.Overview{}, []wire.Modem{ready}, []wire.Webhook{{OffSince: now}, {Pending: 1, OldestAt: now.Add(-11 * time.Minute)}},
			[]string{"bad /docs/runbook/OtpostWebhooksFailing", "warn /docs/runbook/OtpostWebhooksFailing"}},
	} {
		w := watch{words: words, now: now}
		w.daemon(&tt.overview)
		w.modems(tt.modems)
		w.webhooks(tt.webhooks)
		var got []string
		for _, a := range w.alerts {
			got = append(got, a.Tone+" "+a.Page)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The pieces of the bar fill it, in the order of a message's way.
func TestShares(t *testing.T) {
	total, got := sharesOf(map[string]int{"failed": 1, "delivered": 3})
	want := []share{{"delivered", "good", 3, 0, 75}, {"failed", "bad", 1, 75, 25}}
	if diff := cmp.Diff(want, got); diff != "" || total != 4 {
		t.Errorf("%d (-want +got):\n%s", total, diff)
	}
}

// Every end of a message has its station, with the reason in words.
func TestStations(t *testing.T) {
	words, err := loadCatalogue("en")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return time.Date(2026, 3, 4, 9, 0, s, 0, time.UTC) }
	refused := wire.Attempt{Modem: "a", SIM: "4567", Outcome: "refused", Class: "network", Code: "cms-38", ClaimedAt: at(1), DoneAt: at(3)}
	taken := wire.Attempt{Modem: "b", Outcome: "accepted", Again: true, ClaimedAt: at(4), DoneAt: at(5)}
	for _, tt := range []struct {
		name string
		m    wire.Message
		want []string
	}{
		{"queued", wire.Message{Status: "queued", Kind: "code", Lane: "login"}, []string{"good Accepted: Logins", "busy Waits in the queue"}},
		{"refused, then delivered and verified", wire.Message{Status: "delivered", Kind: "code", Lane: "login", Parts: 1, Verified: true, SentAt: at(5), DeliveredAt: at(9), History: []wire.Attempt{refused, taken}},
			[]string{"good Accepted: Logins", "quiet Handed to a modem: a, SIM …4567 after 1.0 s", "bad Refused: network out of order (cms-38); the fault is the network's after 3.0 s",
				"quiet Handed to a modem once more: b after 4.0 s", "good Taken by the network after 5.0 s", "good Sent: 1 SMS after 5.0 s", "good Delivered to the phone after 9.0 s", "good Verified, its code came back"}},
		{"in the modem's hands", wire.Message{Status: "sending", Kind: "text", Lane: "text", History: []wire.Attempt{{Modem: "a", ClaimedAt: at(1)}}},
			[]string{"good Accepted: Texts", "quiet Handed to a modem: a after 1.0 s", "busy The modem is sending it"}},
		{"expired", wire.Message{Status: "expired", Kind: "text", Lane: "text", Error: "expired-in-queue", FinalAt: at(30)},
			[]string{"good Accepted: Texts", "warn Expired; not sent: its time ran out in the queue (expired-in-queue) after 30 s"}},
		{"a cause without words", wire.Message{Status: "failed", Kind: "text", Lane: "text", Error: "cms-9999", FinalAt: at(2)},
			[]string{"good Accepted: Texts", "bad Failed: cms-9999 after 2.0 s"}},
		{"uncertain", wire.Message{Status: "uncertain", Kind: "text", Lane: "text", Error: "timeout"},
			[]string{"good Accepted: Texts", "warn Uncertain; it may have gone out: no answer in time (timeout)"}},
	} {
		tt.m.CreatedAt = at(0)
		line := timeline{words: words, m: &tt.m}
		var got []string
		for _, s := range line.steps() {
			text := s.Tone + " " + s.Title
			if s.Text != "" {
				text += ": " + s.Text
			}
			if s.After != "" {
				text += " " + s.After
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
