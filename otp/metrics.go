package otp

import "github.com/prometheus/client_golang/prometheus"

// metrics are the package's families. Labels come from closed sets: purposes (operations are one), outcomes and limit
// names. Conversion by country and modem is the gateway's.
type metrics struct {
	challenges *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	observed   *prometheus.CounterVec
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
		pins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otpost_pin_checks_total", Help: "PIN checks by outcome.",
		}, []string{"outcome"}),
	}
	if r != nil {
		r.MustRegister(m.challenges, m.refusals, m.observed, m.pins)
	}
	return m
}
