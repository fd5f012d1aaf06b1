package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Usage is a process's resident memory: what it made itself, and pages of files (its own code, the store's tables), which
// the system takes back when it needs them.
type Usage struct {
	Resident int64 `json:"resident_bytes"`
	Anon     int64 `json:"anonymous_bytes"`
	File     int64 `json:"file_bytes"` // with what is shared
}

// sampleEvery is short beside a round.
const sampleEvery = 20 * time.Millisecond

// highest samples the memory until the function that it returns is called, which returns the largest sample.
func (p *process) highest() func() Usage {
	done := make(chan struct{})
	var most Usage // the goroutine's until it has ended
	var sampling sync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			if u, err := p.usage(); err == nil && u.Resident > most.Resident {
				most = u
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() Usage {
		close(done)
		sampling.Wait()
		return most
	}
}

// usage is the memory now.
func (p *process) usage() (Usage, error) {
	s, err := p.status()
	return Usage{Resident: s["VmRSS"], Anon: s["RssAnon"], File: s["RssFile"] + s["RssShmem"]}, err
}

// peak is the most resident memory that the process has had.
func (p *process) peak() (int64, error) {
	s, err := p.status()
	return s["VmHWM"], err
}

// status reads the sizes in /proc/<pid>/status, in bytes.
func (p *process) status() (map[string]int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for l := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(l, ":")
		if f := strings.Fields(rest); len(f) == 2 && f[1] == "kB" {
			if kB, err := strconv.ParseInt(f[0], 10, 64); err == nil {
				sizes[name] = kB << 10
			}
		}
	}
	if sizes["VmRSS"] == 0 {
		return nil, fmt.Errorf("the system does not tell the memory of process %d", p.cmd.Process.Pid)
	}
	return sizes, nil
}
