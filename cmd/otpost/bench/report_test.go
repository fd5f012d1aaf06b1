package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample is a report of a run in which every part was measured.
func sample() Report {
	spread := Spread{P50: 1, P95: 2, P99: 3, N: 100}
	r := Report{
		Machine: "a machine", Took: 90 * time.Second, Binary: 36_500_000, Idle: spread,
		Rates: []Rate{
			{What: yardstickName, Clients: 64, PerSecond: 5000, Took: spread, CPU: 0.15, ClientCPU: 0.05},
			{What: verifyName, Clients: 64, PerSecond: 4500, Took: spread, CPU: 0.2, ClientCPU: 0.05, Ratio: 0.9, Lowest: 0.8, Highest: 1, CPURatio: 0.8},
			{What: coldName, Clients: 64, PerSecond: 4000, Took: spread, CPU: 0.25, ClientCPU: 0.07, Ratio: 0.8, Lowest: 0.7, Highest: 0.9, CPURatio: 0.625},
			{What: sendName, Clients: 64, PerSecond: 3000, Took: spread, CPU: 0.35, ClientCPU: 0.05, Ratio: 0.6, Lowest: 0.5, Highest: 0.7, CPURatio: 0.5},
		},
		PINs: PINs{Argon2id: 27, Request: 30, Share: 0.9, Memory: Usage{180e6, 160e6, 20e6}},
		Line: []LineUse{{SubmitTime: 0, Modems: 1, PerSecond: 300}, {SubmitTime: 500 * time.Millisecond, Modems: 4, PerSecond: 8, Use: 0.992, Worst: 0.985}},
		Kept: []Kept{
			{Messages: 1000, Start: 100 * time.Millisecond, Memory: Usage{26e6, 18e6, 8e6}, List: 1, SendsPerS: 300, CPU: 1.5, CostRatio: 1},
			{Messages: 1_000_000, Start: 1900 * time.Millisecond, Memory: Usage{28e6, 20e6, 8e6}, List: 1, SendsPerS: 300, CPU: 2.4, CostRatio: 1.6},
		},
		Memory: Memory{Idle: Usage{26e6, 18e6, 8e6}, Full: Usage{90e6, 60e6, 30e6}, Peak: 95e6},
	}
	r.judge()
	return r
}

func TestPrint(t *testing.T) {
	const want = `a machine, binary 36.5 MB, measured in 1m30s

WHAT                      CLIENTS  PER SECOND  P50 ms  P95 ms  P99 ms  CPU ms  CLIENT'S CPU ms  OF YARDSTICK (ROUNDS)  BY PROCESSOR TIME
bare synced commit, HTTP  64       5000        1.00    2.00    3.00    0.150   0.050
verify (login)            64       4500        1.00    2.00    3.00    0.200   0.050            90 % (80 to 100)       80 %
verify (login), cold      64       4000        1.00    2.00    3.00    0.250   0.070            80 % (70 to 90)        62 %
send (login challenge)    64       3000        1.00    2.00    3.00    0.350   0.050            60 % (50 to 70)        50 %

Memory at full load: 95 MB at the most; 90 MB resident, of which 60 MB anonymous and 30 MB pages of files

argon2id is 27.0 of the 30.0 ms that a verify with a PIN costs, 90 %; 180 MB resident, of which 160 MB anonymous and 20 MB pages of files

API call to Ctrl-Z, idle queue: p50 1.00 ms, p95 2.00 ms, p99 3.00 ms (100 texts)

SUBMIT TIME  MODEMS  PER SECOND  LINE USE  WORST MODEM
0s           1       300.0
500ms        4       8.0         99.2 %    98.5 %

MESSAGES KEPT  READY IN  RESIDENT MB  ANONYMOUS MB  LIST OF 50 ms  SENDS PER SECOND  CPU ms A SEND  OF THAT WITH THE FEWEST
1000           100ms     26           18            1.00           300               1.50           1.00
1000000        1.9s      28           20            1.00           300               2.40           1.60

GOAL                                                         WANTED          MEASURED                           MET
send (login challenge), 64 clients, of the yardstick         at least 70 %   60.0 % (by processor time 50.0 %)  no
verify (login), 64 clients, of the yardstick                 at least 85 %   90.0 % (by processor time 80.0 %)  yes
API call to Ctrl-Z, idle queue, p50                          below 3.00 ms   1.00 ms                            yes
API call to Ctrl-Z, idle queue, p99                          below 10.00 ms  3.00 ms                            yes
modem line use at 500 ms, every number of modems             at least 99 %   99.2 %                             yes
resident memory, idle                                        below 32 MB     26 MB                              yes
resident memory, full load                                   below 96 MB     95 MB                              yes
cost of a send with 1,000,000 kept, to that with the fewest  below 1.50      1.60                               no
binary                                                       below 40.0 MB   36.5 MB                            yes
`
	var b strings.Builder
	if err := sample().Print(&b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.TrimRight(line, " \n"))
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSuffix(want, "\n"), "\n"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Programs compare reports of different releases: the names stay.
func TestReportJSON(t *testing.T) {
	b, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("it does not come back as it was (-want +got):\n%s", diff)
	}
	for _, name := range []string{"goals", "met", "rates", "per_second", "cpu_ms", "client_cpu_ms", "ratio", "cpu_ratio", "pins", "line_use", "worst",
		"api_call_to_ctrl_z", "p99_ms", "kept", "cost_ratio", "start_ns", "memory", "idle", "full_load", "anonymous_bytes", "peak_bytes", "binary_bytes"} {
		if !strings.Contains(string(b), `"`+name+`":`) {
			t.Errorf("nothing is named %s", name)
		}
	}
}

func TestJudgeWhatWasMeasured(t *testing.T) {
	r := Report{Binary: 41e6}
	r.judge()
	if want := []Goal{{"binary", "below 40.0 MB", "41.0 MB", false}}; !cmp.Equal(want, r.Goals) {
		t.Errorf("goals %v, want %v", r.Goals, want)
	}
}
