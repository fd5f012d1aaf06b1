package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"otpost/api"
	"otpost/cmd/otpost/operate"
	"otpost/driver/sim"
)

// Bounds of the control API's server. A long poll holds an answer for a minute at most.
const (
	controlHeader = 5 * time.Second
	controlWrite  = 90 * time.Second
	controlDrain  = 2 * time.Second
)

// simControl listens on addr and returns what serves the simulator's control API there. It takes no key, so it listens on
// loopback only: whoever reaches it reads every code that the simulated phones got.
func simControl(addr string, n *sim.Network) (func(context.Context) error, string, error) {
	if err := loopback(addr); err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, "", fmt.Errorf("listen for the control API: %w", err)
	}
	srv := &http.Server{Handler: api.NewSimulator(n, version()), ReadHeaderTimeout: controlHeader, WriteTimeout: controlWrite}
	return func(ctx context.Context) error { return serveControl(ctx, srv, l) }, l.Addr().String(), nil
}

// serveControl serves until ctx is done; long polls are cut then.
func serveControl(ctx context.Context, srv *http.Server, l net.Listener) error {
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the control API: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlDrain)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-ended
	return err
}

// loopback refuses an address that other machines can reach.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return operate.UsageError(fmt.Sprintf("--http %s: give HOST:PORT, like 127.0.0.1:8476", addr))
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return operate.UsageError(fmt.Sprintf("--http %s: the control API takes no key and shows every code; only loopback will do, like 127.0.0.1:8476", addr))
}
