package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Limits bound what strangers can hold of the server. Zero fields take the defaults.
type Limits struct {
	ReadHeader time.Duration // 5 s: for a request's header
	Read       time.Duration // 10 s: for a whole request
	Write      time.Duration // 15 s: for an answer, streams and long polls aside
	Idle       time.Duration // 60 s: for a connection without a request
	Drain      time.Duration // 20 s: for requests in flight when the server stops
	Header     int           // 16 KiB of header fields
	Conns      int           // 1024 connections
	PerMinute  int           // 600000 requests of one caller in a minute
	PerPeer    int           // 128 connections from one address (IPv6: one /64)
}

func (l Limits) withDefaults() Limits {
	return Limits{
		ReadHeader: cmp.Or(l.ReadHeader, 5*time.Second),
		Read:       cmp.Or(l.Read, 10*time.Second),
		Write:      cmp.Or(l.Write, 15*time.Second),
		Idle:       cmp.Or(l.Idle, 60*time.Second),
		Drain:      cmp.Or(l.Drain, 20*time.Second),
		Header:     cmp.Or(l.Header, 16<<10),
		Conns:      cmp.Or(l.Conns, 1024),
		PerMinute:  cmp.Or(l.PerMinute, 600_000),
		PerPeer:    cmp.Or(l.PerPeer, 128),
	}
}

// Run serves on the listeners, which it closes, until ctx is done. Then it stops accepting, ends streams and long polls,
// gives the requests in flight Limits.Drain to end, and returns nil; an error means that a listener failed. It may be
// called once.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	if err := s.checkListeners(listeners); err != nil {
		return err
	}
	srv := s.server()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.keys.Run(gctx) })
	for _, l := range listeners {
		g.Go(func() error {
			if err := srv.Serve(s.wrap(l)); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-gctx.Done()
		return s.shutdown(srv)
	})
	return g.Wait()
}

// checkListeners makes sure that nothing goes over a network in plain by mistake, whoever opened the listener. It closes
// them all if something would.
func (s *Server) checkListeners(listeners []net.Listener) error {
	for _, l := range listeners {
		if l.Addr().Network() == "unix" {
			continue
		}
		warning, err := CheckListen(l.Addr().String(), s.cfg.TLS != nil, s.cfg.Insecure)
		if err != nil {
			for _, l := range listeners {
				err = errors.Join(err, l.Close())
			}
			return err
		}
		if warning != "" {
			s.log.Warn("listening without TLS, codes and keys go over the network unprotected", "address", l.Addr().String())
		}
	}
	return nil
}

// wrap caps a listener's connections and, for TCP, adds TLS where it is configured.
func (s *Server) wrap(l net.Listener) net.Listener {
	capped := newConns(l, s.cfg.Limits, s.metrics)
	if s.cfg.TLS != nil && l.Addr().Network() != "unix" {
		return tls.NewListener(capped, s.cfg.TLS)
	}
	return capped
}

func (s *Server) server() *http.Server {
	l := s.cfg.Limits
	return &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: l.ReadHeader,
		ReadTimeout:       l.Read,
		WriteTimeout:      l.Write,
		IdleTimeout:       l.Idle,
		MaxHeaderBytes:    l.Header,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       markConn,
	}
}

// shutdown ends long answers first, then waits for the others, then cuts what is left.
func (s *Server) shutdown(srv *http.Server) error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Drain)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "after", s.cfg.Limits.Drain)
		return srv.Close()
	}
	return nil
}

// extendDeadlines gives the request's answer more time than the server's write timeout. It does nothing in-process.
func extendDeadlines(ctx context.Context, d time.Duration) {
	i := infoOf(ctx)
	if i == nil {
		return
	}
	rc := http.NewResponseController(&i.answer)
	// A connection without deadlines (in-process) needs no more time.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(d + writeWithin))
}
