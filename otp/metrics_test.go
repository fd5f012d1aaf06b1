package otp

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Purposes["operation:pay"] = DefaultOperation() })
	b.enable(alice, mobile)
	v, err := b.create(alice, "operation:pay")
	b.must(err)
	_, err = b.verify(v.ID, wrong(b.code(v.ID)))
	b.wants(err, VerificationFailed)
	b.must(b.Cancel(context.Background(), b.now, portal, v.ID))
	_, err = b.askEnable(alice, mobile)
	b.wants(err, AlreadyEnabled)
	b.policy.Limits.PhoneHour = 1
	b.restartKeepingMetrics()
	_, err = b.create(alice, Login)
	b.wants(err, RateLimited)
	want := `
# HELP otpost_challenges_total Challenges by purpose and what became of them; failed counts wrong answers.
# TYPE otpost_challenges_total counter
otpost_challenges_total{outcome="canceled",purpose="operation"} 1
otpost_challenges_total{outcome="created",purpose="operation"} 1
otpost_challenges_total{outcome="created",purpose="sms.enable"} 1
otpost_challenges_total{outcome="failed",purpose="operation"} 1
otpost_challenges_total{outcome="verified",purpose="sms.enable"} 1
# HELP otpost_refusals_total Requests refused, by the limit or rule that refused them.
# TYPE otpost_refusals_total counter
otpost_refusals_total{limit="phone-hour"} 1
otpost_refusals_total{limit="sms-already-enabled"} 1
otpost_refusals_total{limit="verification-failed"} 1
`
	if err := testutil.GatherAndCompare(b.registry, strings.NewReader(want), "otpost_challenges_total", "otpost_refusals_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(b.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// A transaction that was undone counts nothing.
func TestMetricsFollowCommits(t *testing.T) {
	b := newBench(t)
	b.enable(alice, mobile)
	b.outbox.refuse = context.DeadlineExceeded
	_, err := b.create(alice, Login)
	if err == nil {
		t.Fatal("was sent")
	}
	if n := testutil.ToFloat64(b.metrics.challenges.WithLabelValues("login", "created")); n != 0 {
		t.Errorf("counted %v challenges", n)
	}
}

// restartKeepingMetrics takes the changed policy on and goes on counting.
func (b *bench) restartKeepingMetrics() {
	m, registry := b.metrics, b.registry
	b.restart()
	b.metrics, b.registry = m, registry
}
