package sim

import (
	"errors"
	"io"
	"math/rand"
	"os"
	"testing"
	"time"
)

func TestTmp(t *testing.T) {
	seeds := []string{"AT\r", "AT+CMGS=18\r" + helloPDU + "\x1a", "AT+CMGF=1\rAT+CMGS=\"+44\"\rhi\x1a", "A/", "AT+CSQ;+CREG?;+CMGL=4\r", "ATE1V0Q1\rAT\r", "AT+CUSD=1,\"*100#\"\rATD*#;\r", "AT+CPMS=\"SR\"\rAT+CMGR=1\r"}
	r := rand.New(rand.NewSource(1))
	names := Personalities()
	for i := range 3000 {
		b := []byte(seeds[r.Intn(len(seeds))] + seeds[r.Intn(len(seeds))])
		for range r.Intn(6) {
			b[r.Intn(len(b))] = byte(r.Intn(256))
		}
		k := names[r.Intn(6)]
		start := time.Now()
		conn, stop := serve(t, Config{Personality: k, Seed: 1})
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, conn) // until the deadline below
		}()
		_, err := conn.Write(b)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Unix(1, 0))
		<-drained
		answers(t, conn)
		stop()
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Logf("%d %s %q %v", i, k, b, d)
		}
	}
}
