package systemd_test

import (
	"regexp"
	"strings"
	"time"
)

// quick turns minutes of waiting before an alert into a second.
var quick = regexp.MustCompile(`for: [0-9]+m`)

// prometheusUnit runs a real Prometheus with our scrape example and rules.
const prometheusUnit = `[Service]
StateDirectory=prometheus
WorkingDirectory=/etc/prometheus
ExecStart=/usr/bin/prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/var/lib/prometheus --web.listen-address=127.0.0.1:9090
`

// alerts scrapes the daemon with a real Prometheus, pulls the modem's plug, and puts it back.
func alerts(b *box) {
	need(b.t, "prometheus")
	const examples = "/usr/share/doc/otpost/examples/prometheus/"
	scrape := b.sh("cat " + examples + "prometheus.yml")
	rules := b.sh("cat " + examples + "rules.yml")
	b.put("etc/prometheus/prometheus.yml", strings.ReplaceAll(scrape, "15s", "1s")+"\n")
	b.put("etc/prometheus/otpost/rules.yml", quick.ReplaceAllString(rules, "for: 1s")+"\n")
	b.put("etc/systemd/system/prometheus.service", prometheusUnit)
	b.sh("systemctl daemon-reload && systemctl start prometheus.service")
	const asked = "curl -sf 'http://127.0.0.1:9090/api/v1/query?query="
	b.until(time.Minute, asked+"otpost_modem_up' | grep -q ',\"1\"\\]'")
	b.until(time.Minute, asked+"otpost_messages_total' | grep -q delivered")
	b.sh("! curl -sf http://127.0.0.1:9090/api/v1/alerts | grep -q firing")

	b.sh("systemctl stop modem.service")
	const firing = "curl -sf http://127.0.0.1:9090/api/v1/alerts | grep -o '\"alertname\":\"[A-Za-z]*\"[^}]*}[^}]*}[^}]*firing'"
	b.until(time.Minute, firing+" | grep -q OtpostModemDown")
	b.until(time.Minute, firing+" | grep -q OtpostNoModem")

	b.sh("systemctl start modem.service")
	b.ready()
	b.until(time.Minute, "! "+firing)
	b.sh("systemctl stop prometheus.service && rm -r /etc/systemd/system/prometheus.service /etc/prometheus /var/lib/prometheus")
}
