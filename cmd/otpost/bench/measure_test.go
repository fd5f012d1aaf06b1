package bench

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCaller(t *testing.T) {
	var connections atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what is missing is missing below
		if r.URL.Path == "/wrong" {
			http.Error(w, "no such thing", http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id": "`+r.Method+" "+strings.ReplaceAll(string(b), `"`, "'")+" "+r.Header.Get("Authorization")+`"}`)
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := newCaller(srv.URL, "key")
	defer c.close()
	for range 3 {
		var made struct{ ID string }
		if err := c.call(t.Context(), http.MethodPost, "/v1/x", body{"a": 1}, &made); err != nil || made.ID != "POST {'a':1} Bearer key" {
			t.Errorf("it answered %q, %v", made.ID, err)
		}
	}
	if err := c.call(t.Context(), http.MethodGet, "/wrong", nil, nil); err == nil || !strings.Contains(err.Error(), "418 no such thing") {
		t.Errorf("a refusal is %v", err)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for one request at a time", n)
	}
}

func TestSeries(t *testing.T) {
	s, y := series{what: "it", clients: 3}, series{what: "yardstick", clients: 3}
	for range 3 {
		var calls atomic.Int64
		count := func(context.Context, int) error { calls.Add(1); return nil }
		if err := errors.Join(s.round(t.Context(), 10, nil, count), y.round(t.Context(), 10, nil, count)); err != nil || calls.Load() != 20 {
			t.Fatalf("%d calls, %v", calls.Load(), err)
		}
	}
	s.rates, y.rates = []float64{90, 50, 80}, []float64{100, 100, 200}
	r := s.beside(&y)
	if r.Took.N != 30 || r.Ratio != 0.5 || r.Lowest != 0.4 || r.Highest != 0.9 {
		t.Errorf("the rate is %+v", r)
	}
	wrong := errors.New("wrong")
	if err := s.round(t.Context(), 10, nil, func(context.Context, int) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("the error is %v", err)
	}
}

func TestSpread(t *testing.T) {
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(200-i)*time.Millisecond)
	}
	if diff := cmp.Diff(Spread{P50: 101, P95: 191, P99: 199, N: 200}, spread(took)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Line use counts whole cycles from Ctrl-Z to Ctrl-Z, each of which ended with something to send: neither what comes before
// the first nor what comes behind the last, and no modem that had but one text.
func TestLineUse(t *testing.T) {
	lines := make([]line, 3)
	at := func(l *line, ms int, dir, text string) {
		l.tap(time.Unix(0, 0).Add(time.Duration(ms)*time.Millisecond), dir, text)
	}
	for i, gap := range []int{0, 100} {
		l := &lines[i]
		at(l, 0, "<<", "OK") // of some other command
		for turn := range 3 {
			start := turn * (100 + gap)
			at(l, start-1, ">>", "AT+CMGS=20")
			at(l, start, ">>", "0011000B91<^Z>")
			if turn < 2 {
				at(l, start+99, "<<", "+CMGS: 1")
				at(l, start+100, "<<", "OK")
			}
		}
	}
	at(&lines[2], 0, ">>", "0011000B91<^Z>")
	u := LineUse{SubmitTime: 100 * time.Millisecond, Modems: 3}
	u.sum(lines)
	if math.Abs(u.Use-0.75) > 1e-9 || u.Worst != 0.5 || math.Abs(u.PerSecond-15) > 1e-9 {
		t.Errorf("it is %+v", u)
	}
}

func TestMemory(t *testing.T) {
	p := &process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	highest := p.highest()
	peak, err := p.peak()
	u := highest()
	if err != nil || u.Anon <= 0 || u.File <= 0 || u.Resident < u.Anon || peak < u.Resident/2 {
		t.Errorf("%+v, peak %d, %v", u, peak, err)
	}
}
