package operate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"otpost/api/client"
	"otpost/cmd/otpost/config"
)

// defaultConfig is where the configuration is; tags cannot name it.
const defaultConfig = "/etc/otpost/otpost.yaml"

// connection is how a command reaches the daemon: over its socket, found through the configuration, or over TCP with a key
// from a file.
type connection struct {
	Config  string `short:"c" placeholder:"FILE" help:"The daemon's configuration, for its socket." type:"path" default:"/etc/otpost/otpost.yaml"`
	Socket  string `placeholder:"PATH" help:"The daemon's socket; default: as configured." type:"path"`
	Address string `placeholder:"URL" help:"A daemon elsewhere, like https://otpost.example:8475; needs --key-file."`
	KeyFile string `placeholder:"FILE" help:"A file that holds an API key, for --address." type:"path"`
	CAFile  string `placeholder:"FILE" help:"The authority of that daemon's certificate, as PEM; default: the system's." type:"path"`
}

// dial returns a client of the daemon; it does not connect yet.
func (c connection) dial(con *Console) (*client.Client, error) {
	if c.Address != "" {
		if c.KeyFile == "" {
			return nil, UsageError("--address needs --key-file; keys do not belong on a command line")
		}
		key, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the key: %w", err)
		}
		trust, err := c.trust()
		if err != nil {
			return nil, err
		}
		return client.New(client.Options{Address: c.Address, Key: strings.TrimSpace(string(key)), TLS: trust, UserAgent: "otpost/" + con.version})
	}
	socket := c.Socket
	if socket == "" {
		cfg, err := config.Load(c.Config, os.Environ())
		switch {
		case errors.Is(err, fs.ErrNotExist) && c.Config == defaultConfig:
			socket = config.Default().Socket
		case err != nil: // a file that was named and is not there too: another daemon is not meant
			return nil, &ConfigError{err}
		case cfg.Socket == "":
			return nil, UsageError("the daemon has no socket configured; use --address and --key-file")
		default:
			socket = cfg.Socket
		}
	}
	if _, err := os.Stat(socket); err != nil {
		return nil, fmt.Errorf("no daemon at %s; is `otpost serve` running?", socket)
	}
	return client.New(client.Options{Socket: socket, UserAgent: "otpost/" + con.version})
}

// trust is whose certificates are believed; nil: the system's.
func (c connection) trust() (*tls.Config, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", c.CAFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
