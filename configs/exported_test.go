package configs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"otpost/api"
	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

// families are metric names and their labels.
type families map[string][]string

// described asks every package what it can export, whether or not it has counted anything yet.
func described(t *testing.T) families {
	t.Helper()
	return descriptions(registered(t))
}

// registered is a registry that every package has put its metrics into.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	ring, err := keys.Create(filepath.Join(dir, "otpost.key"), rand.Reader)
	must(t, err)
	kv, err := store.OpenBadger(t.Context(), store.BadgerConfig{Dir: filepath.Join(dir, "store"), Keys: ring, Log: log, Registry: reg})
	must(t, err)
	t.Cleanup(func() { must(t, kv.Close()) })
	var rules *otp.Service
	queue, err := gateway.New(gateway.Config{
		KV: kv, Secrets: kv.Secrets(), Log: log, Registry: reg,
		Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) { return rules.Render(tx, now, m) },
	})
	must(t, err)
	policy := otp.DefaultPolicy()
	policy.Countries = []string{"GB"}
	rules, err = otp.New(otp.Config{
		KV: kv, Secrets: kv.Secrets(), Keys: ring, Outbox: queue, Policy: policy, Random: rand.Reader, Log: log, Registry: reg,
	})
	must(t, err)
	_, err = driver.New(driver.Config{Name: "a", Device: "/dev/null", Handler: queue, Log: log, Registry: reg})
	must(t, err)
	_, err = api.New(api.Config{Rules: rules, Gateway: queue, KV: kv, Secrets: kv.Secrets(), Log: log, Registry: reg})
	must(t, err)
	return reg
}

var describes = regexp.MustCompile(`fqName: "([a-z0-9_]+)".*variableLabels: \{([^}]*)\}`)

func descriptions(reg *prometheus.Registry) families {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		reg.Describe(ch)
	}()
	all := families{}
	for d := range ch {
		if m := describes.FindStringSubmatch(d.String()); m != nil {
			all[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	return all
}

// scraped runs the whole daemon with a simulated modem, sends through it, and returns what /metrics says when the modem is
// up and the message delivered.
func scraped(t *testing.T) (page string) {
	t.Helper()
	whileDelivered(t, func(url string) { page = get(t, url) })
	return page
}

// whileDelivered runs the whole daemon with a simulated modem, and f with the address of its metrics once a message was
// delivered.
func whileDelivered(t *testing.T, f func(url string)) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := config.Parse("test", fmt.Appendf(nil, `{listen: "127.0.0.1:0", socket: "", data_dir: %q, countries: [GB],
modems: [{name: sim0, device: simulator, simulator: {submit_time: 200ms, report_delay: 200ms}, per_minute: 60, per_day: 500, per_month: 5000}]}`, dir), nil)
	must(t, err)
	d, err := daemon.New(t.Context(), daemon.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test"})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
		must(t, d.Close())
	})
	<-d.Ready()
	_, token, err := d.Server().Keys().Create(ctx, time.Now(), api.KeySpec{Name: "test", Scopes: []api.Scope{api.ScopeMessages}})
	must(t, err)
	base := "http://" + d.Addr().String()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for page := ""; ; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no message was delivered in 30 s:\n%s", page)
		}
		page = get(t, base+"/metrics")
		if strings.Contains(page, `otpost_messages_total{lane="text",modem="sim0",state="delivered"}`) {
			f(base + "/metrics")
			return
		}
		if strings.Contains(page, `otpost_modem_up{modem="sim0"} 1`) && !strings.Contains(page, `otpost_messages_total{lane="text"`) {
			send(t, base, token)
		}
	}
}

func send(t *testing.T, base, token string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, base+"/v1/messages", strings.NewReader(`{"to":"+447700900123","text":"hello"}`))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		b, err := io.ReadAll(resp.Body)
		t.Fatalf("POST /v1/messages: %s %s %v", resp.Status, b, err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s", url, resp.Status, b)
	}
	return string(b)
}

var series = regexp.MustCompile(`(?m)^([a-z0-9_]+)(?:\{(.*)\})? `)

// sampled are the names and labels of a page of metrics.
func sampled(page string) families {
	all := families{}
	for _, m := range series.FindAllStringSubmatch(page, -1) {
		for _, l := range labelOf.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(all[m[1]], l[1]) {
				all[m[1]] = append(all[m[1]], l[1])
			}
		}
		if all[m[1]] == nil {
			all[m[1]] = []string{}
		}
	}
	return all
}

var labelOf = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
