package driver

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the families of all modems of a daemon; the label modem tells them apart.
type metrics struct {
	up, registered, signal, lastGood  *prometheus.GaugeVec
	storageUsed, storageTotal         *prometheus.GaugeVec
	resets, submits, faults, received *prometheus.CounterVec
	submitSeconds                     *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "otpost_modem_" + name, Help: help}, append([]string{"modem"}, labels...)))
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "otpost_modem_" + name, Help: help}, append([]string{"modem"}, labels...)))
	}
	return &metrics{
		up:           gauge("up", "1 when the modem is initialised and registered."),
		registered:   gauge("registered", "1 when the SIM is registered with a network."),
		signal:       gauge("signal_dbm", "Received signal strength; 0 when unknown."),
		lastGood:     gauge("last_good_timestamp_seconds", "When the modem last gave a sensible answer."),
		storageUsed:  gauge("storage_used", "Messages in the modem's storage."),
		storageTotal: gauge("storage_capacity", "Room in the modem's storage."),
		resets:       counter("resets_total", "Steps of the recovery ladder taken.", "step"),
		submits:      counter("submits_total", "Parts handed over, by verdict and class of refusal.", "outcome", "class"),
		faults:       counter("faults_total", "What went wrong on the line.", "kind"),
		received:     counter("received_total", "What arrived.", "kind"),
		submitSeconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "otpost_modem_submit_seconds", Help: "From the command to the verdict, one part.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60, 150, 300}, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"modem"})),
	}
}

// register registers c, or returns the like collector that another modem registered before.
func register[T prometheus.Collector](reg prometheus.Registerer, c T) T {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(T); ok {
			return same
		}
	}
	if err != nil {
		panic("driver: " + err.Error()) // two packages chose one name: a fault of ours
	}
	return c
}

// snapshot sets the gauges from a status.
func (m *metrics) snapshot(s Status) {
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	m.up.WithLabelValues(s.Name).Set(is(s.State == StateReady))
	m.registered.WithLabelValues(s.Name).Set(is(s.Registration == RegistrationHome || s.Registration == RegistrationRoaming))
	m.signal.WithLabelValues(s.Name).Set(float64(s.SignalDBm))
	m.storageUsed.WithLabelValues(s.Name).Set(float64(s.StorageUsed))
	m.storageTotal.WithLabelValues(s.Name).Set(float64(s.StorageTotal))
	if !s.LastGood.IsZero() {
		m.answered(s.Name, s.LastGood)
	}
}

func (m *metrics) answered(modem string, at time.Time) {
	m.lastGood.WithLabelValues(modem).Set(float64(at.UnixNano()) / float64(time.Second))
}
