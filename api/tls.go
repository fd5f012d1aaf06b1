package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// TLSFiles name what a TLS listener needs.
type TLSFiles struct {
	Cert     string // PEM: the server's certificate and those between it and its root
	Key      string // PEM: its key
	ClientCA string // PEM: who signs client certificates; "" : none are asked for
}

// recheck is how often the files are looked at, at most; only a handshake makes one look.
const recheck = time.Second

// tlsFiles is the configuration from files, read anew when one of them changes. It is safe for concurrent use.
type tlsFiles struct {
	files TLSFiles
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Config // under mu, as all below
	stamp   [3]fileStamp
	looked  time.Time
}

type fileStamp struct {
	size int64
	at   time.Time
}

// NewTLS returns a server's configuration (TLS 1.2 and up) that follows its files: a changed certificate is used from the
// next handshake on, with no restart. Files that cannot be used at the start are an error; later the last good ones stay
// in use and the log says so. A client certificate is optional and, if given, must be signed by the client CA; what it
// may do is in Config.CertificateScopes.
func NewTLS(files TLSFiles, log *slog.Logger) (*tls.Config, error) {
	t := &tlsFiles{files: files, log: log, looked: time.Now()}
	t.stamp = files.stamps()
	cfg, err := files.load()
	if err != nil {
		return nil, err
	}
	t.current = cfg
	out := cfg.Clone()
	out.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.config(), nil }
	return out, nil
}

func (t *tlsFiles) config() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Sub(t.looked) < recheck {
		return t.current
	}
	t.looked = now
	stamp := t.files.stamps()
	if stamp == t.stamp {
		return t.current
	}
	cfg, err := t.files.load()
	if err != nil {
		t.log.LogAttrs(context.Background(), slog.LevelError, "changed TLS files cannot be used, the old ones stay", slog.Any("error", err))
		return t.current // and try again a second later: the other file may be on its way
	}
	t.log.LogAttrs(context.Background(), slog.LevelInfo, "TLS files read anew", slog.String("cert", t.files.Cert))
	t.current, t.stamp = cfg, stamp
	return cfg
}

func (f TLSFiles) stamps() (s [3]fileStamp) {
	for i, name := range []string{f.Cert, f.Key, f.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			s[i] = fileStamp{info.Size(), info.ModTime()}
		}
	}
	return s
}

func (f TLSFiles) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read TLS certificate %s and key %s: %w", f.Cert, f.Key, err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if f.ClientCA == "" {
		return cfg, nil
	}
	b, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read client CA: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read client CA %s: no certificate in it", f.ClientCA)
	}
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	return cfg, nil
}

// ErrExposed is returned by CheckListen for an address that others can reach without TLS.
var ErrExposed = errors.New("plain HTTP is for loopback only: codes and keys would go over the network unprotected; configure tls, or spell out insecure: true")

// CheckListen judges a TCP listen address. Without TLS it must be loopback, by address or as "localhost"; insecure allows
// any other, and then the warning says what that means and should be logged.
func CheckListen(address string, withTLS, insecure bool) (warning string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", fmt.Errorf("listen address %q: want host:port, such as 127.0.0.1:8475", address)
	}
	if withTLS || host == "localhost" {
		return "", nil
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Unmap().IsLoopback() {
		return "", nil
	}
	if !insecure {
		return "", fmt.Errorf("listen address %q: %w", address, ErrExposed)
	}
	return "plain HTTP on " + address + ": codes and keys go over the network unprotected", nil
}
