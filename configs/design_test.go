package configs_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// what an operator has to be able to see, and the family that tells it.
var promised = map[string]string{
	"messages by state, lane and modem":          "otpost_messages_total",
	"seconds from accepted to sent":              "otpost_message_sent_seconds",
	"seconds from accepted to delivered":         "otpost_message_delivered_seconds",
	"queue depth by lane":                        "otpost_queue_depth",
	"oldest age by lane":                         "otpost_queue_oldest_age_seconds",
	"uncertain":                                  "otpost_messages_uncertain_total",
	"refused by class and CMS code":              "otpost_messages_refused_total",
	"modem up":                                   "otpost_modem_up",
	"modem registered":                           "otpost_modem_registered",
	"signal in dBm":                              "otpost_modem_signal_dbm",
	"the last good answer":                       "otpost_modem_last_good_timestamp_seconds",
	"resets by step":                             "otpost_modem_resets_total",
	"storage used":                               "otpost_modem_storage_used",
	"quota left":                                 "otpost_modem_quota_left",
	"balance":                                    "otpost_modem_balance",
	"challenges by purpose and outcome":          "otpost_challenges_total",
	"conversion by country and modem: sent":      "otpost_conversion_sent_total",
	"conversion by country and modem: verified":  "otpost_conversion_verified_total",
	"refusals by limit":                          "otpost_refusals_total",
	"webhooks by outcome":                        "otpost_webhook_deliveries_total",
	"HTTP by route and status":                   "otpost_http_requests_total",
	"HTTP seconds by route":                      "otpost_http_request_seconds",
	"commit seconds":                             "otpost_store_commit_seconds",
	"the build":                                  "otpost_build_info",
	"free space, and whether it is too little":   "otpost_store_low",
	"seconds from command to verdict of a modem": "otpost_modem_submit_seconds",
}

// TestPromisedMetrics: each is exported, and an alert, a panel or a runbook page makes use of it.
func TestPromisedMetrics(t *testing.T) {
	known := described(t)
	for name, labels := range sampled(scraped(t)) {
		if known[name] == nil {
			known[name] = labels
		}
	}
	var used []string
	for _, q := range queries(t) {
		for _, m := range metricOf.FindAllStringSubmatch(q.expr, -1) {
			used = append(used, strange.ReplaceAllString(m[1], ""))
		}
	}
	for what, name := range promised {
		if _, ok := known[name]; !ok {
			t.Errorf("%s: nobody exports %s", what, name)
		}
		if !slices.Contains(used, name) && name != "otpost_build_info" {
			t.Errorf("%s: no alert, panel or page uses %s", what, name)
		}
	}
}

// TestHistogramsAreBoth: every histogram of ours has classic buckets, for any Prometheus, and native ones, for one that asks.
func TestHistogramsAreBoth(t *testing.T) {
	n := 0
	whileDelivered(t, func(url string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		must(t, err)
		req.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		decoder := expfmt.NewDecoder(resp.Body, expfmt.ResponseFormat(resp.Header))
		for {
			var f dto.MetricFamily
			if err := decoder.Decode(&f); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if f.GetType() != dto.MetricType_HISTOGRAM || !strings.HasPrefix(f.GetName(), "otpost_") {
				continue
			}
			n++
			for _, m := range f.Metric {
				h := m.GetHistogram()
				if len(h.GetBucket()) == 0 || h.Schema == nil || len(h.GetPositiveSpan()) == 0 && h.GetZeroThreshold() == 0 {
					t.Errorf("%s has %d classic buckets and native schema %v, want both", f.GetName(), len(h.GetBucket()), h.Schema)
				}
			}
		}
	})
	if n < 5 {
		t.Errorf("only %d histograms were seen", n)
	}
}
