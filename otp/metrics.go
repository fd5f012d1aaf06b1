package otp

import "github.com/prometheus/client_golang/prometheus"

// metrics are the package's families. Labels come from closed sets: purposes (operations are one), outcomes, limit names,
// countries and modem names.
type metrics struct {
	challenges *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	observed   *prometheus.CounterVec
	verified   *prometheus.CounterVec
	pins       *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		challenges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otpost_challenges_total", Help: "Challenges by purpose and what became of them; failed counts wrong answers.",
		}, []string{"purpose", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otpost_refusals_total", Help: "Requests refused, by the limit or rule that refused them.",
		}, []string{"limit"}),
		observed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otpost_refusals_observed_total", Help: "Requests that a guard in mode observe would have refused.",
		}, []string{"limit"}),
		verified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otpost_codes_verified_total", Help: "Codes verified, by country of the phone and modem that sent them.",
		}, []string{"country", "modem"}),
		pins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otpost_pin_checks_total", Help: "PIN checks by outcome.",
		}, []string{"outcome"}),
	}
	if r != nil {
		r.MustRegister(m.challenges, m.refusals, m.observed, m.verified, m.pins)
	}
	return m
}
