package driver

import (
	"context"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"otpost/driver/sim"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// 200 lives of a driver in each fault leave as many goroutines as there were.
func TestNoGoroutineLeaks(t *testing.T) {
	kinds := []sim.Kind{sim.Silence, sim.Garbage, sim.Echo, sim.Loopback, sim.URCFlood, sim.BootLoop, sim.StuckPrompt,
		sim.AskPIN, sim.PartialLine, sim.LostPort, sim.SlowBytes, sim.StorageFull}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { live200(t, kind) })
		})
	}
}

func live200(t *testing.T, kind sim.Kind) {
	n := sim.NewNetwork(sim.NetworkConfig{NoMagic: true})
	modem, err := sim.New(sim.Config{NoPTY: true, Network: n})
	if err != nil {
		t.Fatal(err)
	}
	defer modem.Close()
	if _, err := n.AddFault(sim.Fault{Kind: kind}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	before := runtime.NumGoroutine()
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		onPipe(ctx, t, modem, &recorder{}, &running, nil)
		time.Sleep(time.Duration(i) * 37 * time.Millisecond) // each life ends somewhere else
		cancel()
		running.Wait()
	}
	synctest.Wait()
	// The bubble itself fails when one of its goroutines is left; this count is of the whole process, where the runtime's
	// own come and go.
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d goroutines before, %d after 200 lives", before, after)
	}
}

// 200 openings of a real port whose modem is silent, babbles or echoes leave as many descriptors as there were.
func TestNoDescriptorLeaks(t *testing.T) {
	cfg, err := Config{Name: "m1", Device: "x", Handler: noHandler{}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(master *os.File){
		"silent": func(m *os.File) { _, _ = m.Read(make([]byte, 256)) },
		"babbling": func(m *os.File) {
			_, _ = m.Read(make([]byte, 256))
			_, _ = m.Write([]byte("\x80\xff>>\r\n+CMGS: \r\n"))
		},
		"echo": func(m *os.File) {
			b := make([]byte, 256)
			n, _ := m.Read(b)
			_, _ = m.Write(b[:n])
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			master, device := pseudo(t)
			before, running := len(openFiles(t)), goleak.IgnoreCurrent()
			for range 200 {
				p, err := openPort(device, 115200)
				if err != nil {
					t.Fatal(err)
				}
				l := newLine(p, cfg, builtinClasses())
				done := make(chan struct{})
				go func() { defer close(done); answer(master) }()
				if _, err := l.exchange("", time.Millisecond); err == nil {
					t.Error("a modem that is none said OK")
				}
				<-done
				if err := l.close(); err != nil {
					t.Fatal(err)
				}
			}
			if after := len(openFiles(t)); after > before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
			goleak.VerifyNone(t, running)
		})
	}
}
