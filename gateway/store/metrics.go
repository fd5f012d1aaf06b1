package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's. There is one store in a process, so they have no label for it.
type metrics struct {
	commits  prometheus.Counter
	batch    prometheus.Histogram
	seconds  prometheus.Histogram
	failures *prometheus.CounterVec // by kind: full, unknown, checksum, note
	corrupt  prometheus.Counter
	free     prometheus.Gauge
	low      prometheus.Gauge
	retries  prometheus.Counter
	resealed prometheus.Counter
	rests    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "otpost_store_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "otpost_store_" + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "otpost_store_" + name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour})
	}
	m := &metrics{
		commits: counter("commits_total", "Synced commits."),
		batch:   histogram("batch_updates", "Updates that one commit answered.", prometheus.ExponentialBuckets(1, 2, 10)),
		seconds: histogram("commit_seconds", "Seconds that a synced commit took.", prometheus.ExponentialBuckets(1e-4, 2, 16)),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "otpost_store_failures_total",
			Help: "What went wrong: full (update refused), unknown (commit), checksum, note (side file)."}, []string{"kind"}),
		corrupt:  counter("corrupt_records_total", "Reads of a record that did not open."),
		free:     gauge("free_bytes", "Free bytes on the store's disk."),
		low:      gauge("low", "1 while the disk has less free space than the reserve."),
		retries:  counter("open_retries_total", "Failed attempts to open the store that were tried again."),
		resealed: counter("resealed_records_total", "Records sealed anew after a rotation of the key file."),
		rests:    counter("merge_rest_seconds_total", "Seconds that merges of tables have rested, so that commits need not wait for them."),
	}
	for _, kind := range []string{failFull, failUnknown, failChecksum, failNote} {
		m.failures.WithLabelValues(kind)
	}
	if r != nil {
		r.MustRegister(m.commits, m.batch, m.seconds, m.failures, m.corrupt, m.free, m.low, m.retries, m.resealed, m.rests)
	}
	return m
}

const (
	failFull     = "full"
	failUnknown  = "unknown"
	failChecksum = "checksum"
	failNote     = "note"
)
