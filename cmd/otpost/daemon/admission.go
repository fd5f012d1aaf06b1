package daemon

import (
	"crypto/tls"
	"fmt"
	"os/user"
	"strconv"

	"otpost/api"
	"otpost/cmd/otpost/config"
)

// admission is who may come in beside the holders of keys.
type admission struct {
	tls          *tls.Config // nil: plain HTTP
	users        map[uint32][]api.Scope
	certificates map[string][]api.Scope
}

func (d *Daemon) admission(cfg config.Config) (in admission, err error) {
	in.users, in.certificates = map[uint32][]api.Scope{}, map[string][]api.Scope{}
	for name, scopes := range cfg.SocketUsers {
		uid, err := uidOf(name)
		if err != nil {
			return in, fmt.Errorf("socket_users: %w", err)
		}
		in.users[uid] = scopesOf(scopes)
	}
	for name, scopes := range cfg.TLS.Clients {
		in.certificates[name] = scopesOf(scopes)
	}
	if cfg.TLS.CertFile != "" {
		in.tls, err = api.NewTLS(api.TLSFiles{Cert: cfg.TLS.CertFile, Key: cfg.TLS.KeyFile, ClientCA: cfg.TLS.ClientCAFile}, d.log)
		if err != nil {
			return in, fmt.Errorf("tls: %w", err)
		}
	}
	return in, nil
}

// uidOf is the number of the user named, which may be a number already.
func uidOf(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

func scopesOf(names []string) []api.Scope {
	var all []api.Scope
	for _, n := range names {
		all = append(all, api.Scope(n))
	}
	return all
}
