package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), n: 1}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key))))
	return a
}

// issue makes a certificate for a server on loopback or a client named name.
func (a *authority) issue(t testing.TB, name string) (cert, key []byte) {
	t.Helper()
	a.n++
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(k))})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Over TLS: a certificate's name gives its scopes, one of another CA is refused, none needs a key, and plain HTTP and
// TLS 1.1 get nothing.
func TestTLS(t *testing.T) {
	ca, other, dir := newAuthority(t), newAuthority(t), t.TempDir()
	files := TLSFiles{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca")}
	cert, key := ca.issue(t, "server")
	write(t, files.Cert, cert)
	write(t, files.Key, key)
	write(t, files.ClientCA, ca.pem())
	cfg, err := NewTLS(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	k := newKit(t, func(c *Config) {
		c.TLS = cfg
		c.CertificateScopes = map[string][]Scope{"portal.example": {ScopePortal}, "ops.example": {ScopeAdmin}}
	})
	address, _ := k.serve(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	get := func(issuer *authority, name string, change func(*tls.Config)) (int, error) {
		conf := &tls.Config{RootCAs: roots}
		if issuer != nil {
			cert, key := issuer.issue(t, name)
			conf.Certificates = []tls.Certificate{must(tls.X509KeyPair(cert, key))}
		}
		if change != nil {
			change(conf)
		}
		tr := &http.Transport{TLSClientConfig: conf}
		defer tr.CloseIdleConnections()
		res, err := (&http.Client{Transport: tr}).Get("https://" + address + "/v1/keys")
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		if res.Header.Get("Strict-Transport-Security") == "" {
			t.Error("no Strict-Transport-Security over TLS")
		}
		return res.StatusCode, nil
	}
	for _, tt := range []struct {
		name string
		ca   *authority
		cert string
		want int
	}{{"no certificate", nil, "", 401}, {"unknown name", ca, "who.example", 401}, {"wrong scope", ca, "portal.example", 403}, {"right scope", ca, "ops.example", 200}} {
		if got, err := get(tt.ca, tt.cert, nil); err != nil || got != tt.want {
			t.Errorf("%s: %d %v, want %d", tt.name, got, err, tt.want)
		}
	}
	if got, err := get(other, "ops.example", nil); err == nil {
		t.Errorf("a certificate of another CA: %d", got)
	}
	if got, err := get(nil, "", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }); err == nil {
		t.Errorf("TLS 1.1: %d", got)
	}
	if res, err := http.Get("http://" + address + "/healthz"); err == nil {
		defer res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP: %d", res.StatusCode)
		}
	}
}

// A changed certificate is used from the next handshake on; files that do not fit leave the old one in use.
func TestTLSReload(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	files := TLSFiles{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	put := func(name string) {
		cert, key := ca.issue(t, name)
		write(t, files.Cert, cert)
		write(t, files.Key, key)
	}
	put("first")
	cfg, err := NewTLS(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	follower := &tlsFiles{files: files, log: slog.New(slog.DiscardHandler), stamp: files.stamps(), current: must(files.load())}
	name := func() string {
		follower.looked = time.Time{} // as if a second had passed
		return must(x509.ParseCertificate(follower.config().Certificates[0].Certificate[0])).Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Errorf("at first: %s", got)
	}
	later := time.Now().Add(time.Minute)
	write(t, files.Key, []byte("half a file"))
	if err := os.Chtimes(files.Key, later, later); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "first" {
		t.Errorf("with a bad file: %s", got)
	}
	put("second")
	if got := name(); got != "second" {
		t.Errorf("after a change: %s", got)
	}
	if got, err := cfg.GetConfigForClient(nil); err != nil || got == nil {
		t.Errorf("the server's configuration does not follow: %v", err)
	}
	for name, bad := range map[string]TLSFiles{"no file": {Cert: "/nonexistent", Key: files.Key}, "no CA in it": {Cert: files.Cert, Key: files.Key, ClientCA: files.Key}} {
		if _, err := NewTLS(bad, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestCheckListen(t *testing.T) {
	for _, tt := range []struct {
		address       string
		tls, insecure bool
		warns         bool
		want          error
	}{
		{address: "127.0.0.1:8475"}, {address: "127.8.8.8:1"}, {address: "[::1]:8475"}, {address: "localhost:8475"}, {address: "[::ffff:127.0.0.1]:1"},
		{address: "0.0.0.0:8475", want: ErrExposed}, {address: ":8475", want: ErrExposed}, {address: "[::]:1", want: ErrExposed},
		{address: "192.0.2.1:1", want: ErrExposed}, {address: "otpost.example:1", want: ErrExposed}, {address: "localhost.example:1", want: ErrExposed},
		{address: "0.0.0.0:8475", tls: true}, {address: "0.0.0.0:8475", insecure: true, warns: true}, {address: "127.0.0.1:1", insecure: true},
	} {
		warning, err := CheckListen(tt.address, tt.tls, tt.insecure)
		if !errors.Is(err, tt.want) || (warning != "") != tt.warns {
			t.Errorf("%+v: %q, %v", tt, warning, err)
		}
	}
	for _, bad := range []string{"", "8475", "127.0.0.1", "127.0.0.1:"} {
		if _, err := CheckListen(bad, true, true); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

// A listener that others can reach is not served in plain by mistake, whoever opened it.
func TestRunRefusesExposure(t *testing.T) {
	k := newKit(t)
	open := func() net.Listener { return must(net.Listen("tcp", "0.0.0.0:0")) }
	l := open()
	if err := k.Run(t.Context(), l); !errors.Is(err, ErrExposed) {
		t.Fatalf("run: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
	k = newKit(t, func(c *Config) { c.Insecure = true })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Run(ctx, open()); err != nil || !strings.Contains(k.log.String(), "listening without TLS") {
		t.Errorf("insecure: %v, %s", err, k.log)
	}
}
