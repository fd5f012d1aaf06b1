package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/api/wire"
	"otpost/driver/sim"
)

func TestThread(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 3, 4, 9, 0, s, 0, time.UTC) }
	code := func(created, ends int) wire.Message {
		return wire.Message{Kind: "code", CreatedAt: at(created), NotAfter: at(ends)}
	}
	sent := []wire.Message{code(30, 330), {Kind: "text", CreatedAt: at(20), NotAfter: at(3000)}, code(10, 310), code(1, 15)}
	got := []simText{ // newest first
		{ID: 4, Text: "c 333333", Code: "333333", Modem: "sim0", ReceivedAt: at(31), Parts: 1},
		{ID: 3, Text: "parcel", Modem: "sim0", ReceivedAt: at(21), Parts: 2, Flash: true},
		{ID: 2, Text: "c 222222", Code: "222222", Modem: "sim0", ReceivedAt: at(12), Parts: 1},
		{ID: 1, Text: "c 111111", Code: "111111", Modem: "sim0", ReceivedAt: at(2), Parts: 1},
	}
	wrote := []wire.InboxMessage{{From: "+447700900001", Text: "STOP", Modem: "sim0", ReceivedAt: at(25)}, {From: "+447700900002", Text: "not mine", ReceivedAt: at(26)}}
	want := []bubble{
		{Text: "c 111111", At: at(2), Code: "111111", Expires: at(15), Left: 0, Parts: 1, Modem: "sim0"},
		{Text: "c 222222", At: at(12), Code: "222222", Expires: at(310), Left: 270, Parts: 1, Modem: "sim0"},
		{Text: "parcel", At: at(21), Parts: 2, Flash: true, Modem: "sim0"},
		{Mine: true, Text: "STOP", At: at(25), Modem: "sim0"},
		{Text: "c 333333", At: at(31), Code: "333333", Expires: at(330), Left: 290, Parts: 1, Modem: "sim0"},
	}
	if diff := cmp.Diff(want, thread(at(40), "+447700900001", got, wrote, sent)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	unknown := thread(at(40), "+447700900001", got[:1], nil, nil)
	if diff := cmp.Diff([]bubble{{Text: "c 333333", At: at(31), Code: "333333", Parts: 1, Modem: "sim0"}}, unknown); diff != "" {
		t.Errorf("a code whose message is not known: -want +got:\n%s", diff)
	}
}

// Whoever watches the phones ends with its context, although the API answers a caller that is gone at once and without an error.
func TestWatchPhonesEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch calls.Add(1) {
		case 1: // what there is
		case 2: // what comes: nothing, until the tab is closed
			cancel()
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusTooManyRequests) // as the API's own limit ends it at last
		}
		_, _ = w.Write([]byte(`{"messages":[]}`)) // it is kept in memory
	})
	c, err := New(Config{API: api, Log: slog.New(slog.DiscardHandler), Simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/console/live", nil)
	c.watchPhones(ctx, &session{}, r.WithContext(ctx), &narrator{w: httptest.NewRecorder(), header: http.Header{}})
	if n := calls.Load(); n > 2 {
		t.Errorf("%d calls were made, want 2", n)
	}
}

// The page offers every kind of fault that the simulator has, each with a text, and nothing else; so with the points.
func TestFaultKinds(t *testing.T) {
	words, err := loadCatalogue("en")
	if err != nil {
		t.Fatal(err)
	}
	var offered []string
	for _, g := range faultKinds() {
		if name := "faults.group." + g.Name; words.text(name) == name {
			t.Errorf("there is no text %s", name)
		}
		offered = append(offered, g.Kinds...)
	}
	for _, k := range sim.Kinds() {
		if !slices.Contains(offered, string(k)) {
			t.Errorf("the kind %s is not offered", k)
		}
	}
	if len(offered) != len(sim.Kinds()) {
		t.Errorf("%d kinds are offered, the simulator has %d", len(offered), len(sim.Kinds()))
	}
	for group, values := range map[string][]string{"fault": offered, "point": faultPoints()} {
		for _, v := range values {
			if words.text(group+"."+v) == group+"."+v {
				t.Errorf("there is no text %s.%s", group, v)
			}
		}
	}
}

func TestSecondsOfAField(t *testing.T) {
	for in, want := range map[string]string{"": "", " 30 ": "30s", "1.5": "1.5s", "5m": "5m", "soon": "soon"} {
		if got := seconds(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// What a session remembers of phones is bounded, and never goes back.
func TestReadTexts(t *testing.T) {
	s := &session{}
	s.readTo("+447700900001", 7)
	s.readTo("+447700900001", 3)
	if diff := cmp.Diff(map[string]uint64{"+447700900001": 7}, s.readBy()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i := range 2 * maxRead {
		s.readTo(time.Duration(i).String(), 1)
	}
	if n := len(s.readBy()); n > maxRead {
		t.Errorf("a session remembers %d phones", n)
	}
}

// A visitor's trial has an account of its own, the same at every look, until it is changed.
func TestTrial(t *testing.T) {
	one, two := &session{}, &session{}
	first := one.trial().Account
	if again, others := one.trial().Account, two.trial().Account; again != first || others == first {
		t.Errorf("accounts: %s, then %s, and another's %s", first, again, others)
	}
	changed := one.trial()
	changed.Account = "client-4711"
	one.keep(changed)
	if got := one.trial().Account; got != "client-4711" {
		t.Errorf("the account is %s", got)
	}
}
