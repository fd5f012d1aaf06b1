package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"otpost/driver"
)

// metrics are the gateway's families. Labels come from closed sets: states, lanes, the configured modems, classes and
// codes of our own making, ISO countries.
type metrics struct {
	messages   *prometheus.CounterVec
	sent       *prometheus.HistogramVec
	delivered  *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	reports    *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	codesSent  *prometheus.CounterVec
	codesBack  *prometheus.CounterVec
	webhooks   *prometheus.CounterVec
	lateUnsure prometheus.Counter
	corrupt    prometheus.Counter
	balances   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, g *Gateway) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"lane"})
	}
	m := &metrics{
		messages:  counter("otpost_messages_total", "Messages that entered a state.", "state", "lane", "modem"),
		sent:      histogram("otpost_message_sent_seconds", "From accepted here to accepted by the network.", .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300),
		delivered: histogram("otpost_message_delivered_seconds", "From accepted here to reported as delivered.", 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 900, 3600, 14400, 86400),
		refused:   counter("otpost_messages_refused_total", "Hand-overs refused by modem or network.", "class", "code"),
		reports:   counter("otpost_reports_total", "Delivery reports by what they told.", "outcome"),
		refusals:  counter("otpost_enqueue_refused_total", "Messages not taken.", "reason"),
		codesSent: counter("otpost_conversion_sent_total", "Codes accepted by the network.", "country", "modem"),
		codesBack: counter("otpost_conversion_verified_total", "Codes that were typed back.", "country", "modem"),
		webhooks:  counter("otpost_webhook_deliveries_total", "Attempts to deliver events to webhooks.", "endpoint", "outcome"),
		balances:  counter("otpost_balance_checks_total", "Questions for a SIM's balance.", "modem", "outcome"),
		lateUnsure: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otpost_messages_uncertain_total", Help: "Hand-overs that may or may not have gone out.",
		}),
		corrupt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otpost_messages_corrupt_total", Help: "Messages left out because their record did not open.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.messages, m.sent, m.delivered, m.refused, m.reports, m.refusals, m.codesSent, m.codesBack, m.webhooks, m.lateUnsure, m.corrupt, m.balances, newGauges(g))
	}
	return m
}

// moved counts a message's change of state.
func (s *metrics) moved(m *Message, was Status) {
	if m.Status == was {
		return
	}
	modem := m.modem()
	if modem == "" {
		modem = "none"
	}
	lane := m.Lane.String()
	s.messages.WithLabelValues(string(m.Status), lane, modem).Inc()
	switch {
	case m.Status == Uncertain || m.Status == Queued && was == Sending && m.Again:
		s.lateUnsure.Inc()
	case m.Status == Delivered:
		s.delivered.WithLabelValues(lane).Observe(m.DeliveredAt.Sub(m.CreatedAt).Seconds())
	}
	if !m.SentAt.IsZero() && was.beforeSent() && !m.Status.beforeSent() {
		s.sent.WithLabelValues(lane).Observe(m.SentAt.Sub(m.CreatedAt).Seconds())
		if m.Kind == KindCode {
			s.codesSent.WithLabelValues(country(m.Country), modem).Inc()
		}
	}
}

func (s Status) beforeSent() bool { return s == Queued || s == Sending || s == Uncertain || s == "" }

func country(c string) string {
	if len(c) != 2 {
		return "unknown"
	}
	return c
}

func (s *metrics) verdict(r driver.Result) {
	if r.Outcome == driver.Refused && r.Code != driver.CodeYielded {
		s.refused.WithLabelValues(classLabel(r.Class), codeLabel(r.Code)).Inc()
	}
}

func classLabel(c driver.Class) string {
	switch c {
	case driver.ClassRecipient, driver.ClassContent, driver.ClassNetwork, driver.ClassCredit, driver.ClassSIM, driver.ClassStorage, driver.ClassModem, driver.ClassUnknown:
		return string(c)
	}
	return "none"
}

// codeLabel keeps codes that follow the driver's grammar; anything longer is not one of them.
func codeLabel(c string) string {
	if c == "" || len(c) > 24 {
		return "other"
	}
	for _, r := range c {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return "other"
		}
	}
	return c
}

func (s *metrics) report(outcome string)    { s.reports.WithLabelValues(outcome).Inc() }
func (s *metrics) admission(reason string)  { s.refusals.WithLabelValues(reason).Inc() }
func (s *metrics) webhook(name, out string) { s.webhooks.WithLabelValues(name, out).Inc() }

// gauges are read from the gateway when they are asked for.
type gauges struct {
	g                                          *Gateway
	depth, oldest, quota, quarantined, balance *prometheus.Desc
}

func newGauges(g *Gateway) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &gauges{
		g:           g,
		depth:       desc("otpost_queue_depth", "Messages that wait.", "lane"),
		oldest:      desc("otpost_queue_oldest_age_seconds", "Age of the oldest message that waits.", "lane"),
		quota:       desc("otpost_modem_quota_left", "Parts that the quotas of the modem's SIM still allow.", "modem", "quota"),
		balance:     desc("otpost_modem_balance", "Balance of the modem's SIM as its network tells it; gone when it has not been told for long.", "modem"),
		quarantined: desc("otpost_modem_quarantined", "1 while the modem's SIM rests: its credit is used up, or its counters do not open.", "modem"),
	}
}

// Describe implements prometheus.Collector.
func (c *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.depth, c.oldest, c.quota, c.quarantined, c.balance} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	now := time.Now()
	for l := range Lanes {
		n, age := c.g.queue.oldest(Lane(l), now)
		gauge(c.depth, float64(n), Lane(l).String())
		gauge(c.oldest, age.Seconds(), Lane(l).String())
	}
	for _, m := range c.g.modems {
		if amount, at := m.credit(now); !at.IsZero() {
			gauge(c.balance, amount, m.name)
		}
		s := c.g.simOf(m, now)
		if s == nil {
			continue
		}
		for _, q := range []struct {
			name        string
			limit, used int
		}{{"minute", m.route.PerMinute, len(s.Recent)}, {"day", m.route.PerDay, s.DayCount}, {"month", m.route.PerMonth, s.MonthCount}} {
			if q.limit > 0 {
				gauge(c.quota, float64(max(0, q.limit-q.used)), m.name, q.name)
			}
		}
		blocked := 0.0
		if s.blockedUntil().After(now) {
			blocked = 1
		}
		gauge(c.quarantined, blocked, m.name)
	}
}
