package bench

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
)

// Profile starts a CPU profile of this process, in a file of that name with .cpu behind it. The function that it returns
// ends it and writes a heap profile, .heap.
func Profile(name string) (end func() error, err error) {
	cpu, err := os.Create(name + ".cpu")
	if err != nil {
		return nil, fmt.Errorf("make a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("make a profile: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		heap, err := os.Create(name + ".heap")
		if err == nil {
			err = errors.Join(pprof.Lookup("heap").WriteTo(heap, 0), heap.Close())
		}
		return errors.Join(err, cpu.Close())
	}, nil
}
