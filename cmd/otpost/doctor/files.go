package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"otpost/gateway/store/keys"
)

// files looks at the configuration's files: who may read and write them, and whether they are what they should be.
func (e *examination) files() {
	e.configFile()
	e.dataFolder()
	e.keyFile()
	e.secretFile("pin.secret_file", e.Config.PIN.SecretFile)
	for _, m := range e.Config.Modems {
		e.secretFile("modem "+m.Name+" sim_pin_file", m.SIMPINFile)
	}
	for _, w := range e.Config.Webhooks {
		e.secretFile("webhook secret_file", w.SecretFile)
		e.secretFile("webhook old_secret_file", w.OldSecret)
	}
	e.certificate()
}

func (e *examination) configFile() {
	info, err := os.Stat(e.ConfigPath)
	switch {
	case err != nil:
		e.mend("configuration", plain(err), "without it the daemon does not start", "otpost config check --config "+e.ConfigPath)
	case info.Mode().Perm()&0o022 != 0:
		e.mend("configuration", e.ConfigPath+" can be changed by others", "whoever can write it decides which countries and modems are used", "chmod go-w "+e.ConfigPath)
	default:
		e.good("configuration", e.ConfigPath+" is good")
	}
}

func (e *examination) dataFolder() {
	dir := e.Config.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.good("data_dir", dir+" will be made at the first start")
	case err != nil:
		e.mend("data_dir", plain(err), "the store is in it", "ls -ld "+dir)
	case !info.IsDir():
		e.mend("data_dir", dir+" is no folder", "the store is made in it", "mv "+dir+" "+dir+".old")
	case info.Mode().Perm()&0o077 != 0:
		e.mend("data_dir", fmt.Sprintf("%s is open to others (mode %04o)", dir, info.Mode().Perm()), "the key file and the store are in it", "chmod 700 "+dir)
	default:
		e.good("data_dir", dir+" belongs to its owner alone")
	}
}

func (e *examination) keyFile() {
	ring, err := keys.Load(e.KeyFile)
	_, nostore := os.Stat(filepath.Join(e.Config.DataDir, "store"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && nostore == nil:
		e.mend("key_file", e.KeyFile+" is not there, but the store that it seals is", "without its key the store is noise", "put the key file back from its copy, then: chmod 600 "+e.KeyFile)
	case errors.Is(err, fs.ErrNotExist):
		e.good("key_file", e.KeyFile+" will be made at the first start")
	case errors.Is(err, fs.ErrPermission):
		e.mend("key_file", e.KeyFile+" may not be read by this user", "it cannot be looked at", "sudo otpost doctor --config "+e.ConfigPath)
	case err != nil:
		e.mend("key_file", plain(err), "without its key the store is noise", "chmod 600 "+e.KeyFile+", or put it back from its copy")
	default:
		e.good("key_file", fmt.Sprintf("%s holds %d keys; keep a copy of it apart from the backups", e.KeyFile, len(ring.IDs())))
	}
}

// secretFile looks at a file's name, mode and size, never at its content.
func (e *examination) secretFile(check, path string) {
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		e.mend(check, plain(err), "the daemon needs it to start", "put the secret there, then: chmod 600 "+path)
	case !info.Mode().IsRegular() || info.Size() == 0:
		e.mend(check, path+" is empty or no file", "the daemon needs it to start", "put the secret there")
	case info.Mode().Perm()&0o077 != 0:
		e.mend(check, path+" can be read by others", "it is a secret, and the daemon refuses it", "chmod 600 "+path)
	default:
		e.good(check, path+" belongs to its owner alone")
	}
}

// certificateSoon is how long before its end a certificate is worth a word.
const certificateSoon = 21 * 24 * time.Hour

func (e *examination) certificate() {
	c := e.Config.TLS
	if c.CertFile == "" {
		return
	}
	const why = "clients will not talk to the daemon"
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		e.mend("tls", plain(err), why, fmt.Sprintf("put certificate and key that belong together into %s and %s", c.CertFile, c.KeyFile))
		return
	}
	e.secretFile("tls.key_file", c.KeyFile)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		e.mend("tls", plain(err), why, "renew "+c.CertFile)
		return
	}
	left := leaf.NotAfter.Sub(e.Now())
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case left <= 0:
		e.mend("tls", "the certificate ended on "+until, why, "renew "+c.CertFile+"; the daemon reads it by itself")
	case e.Now().Before(leaf.NotBefore):
		e.mend("tls", "the certificate begins on "+leaf.NotBefore.UTC().Format(time.DateOnly), why, "check the clock: date")
	case left < certificateSoon:
		e.watch("tls", "the certificate ends on "+until, "then "+why, "renew "+c.CertFile+"; the daemon reads it by itself")
	default:
		e.good("tls", "the certificate is good until "+until)
	}
	e.authority(c.ClientCAFile)
}

func (e *examination) authority(path string) {
	if path == "" {
		return
	}
	b, err := os.ReadFile(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(b) {
		err = fmt.Errorf("%s holds no certificate", path)
	}
	if err != nil {
		e.mend("tls.client_ca_file", plain(err), "clients with certificates are refused", "put the authority's certificate there, as PEM")
	}
}

// disk compares the free space with the reserve below which the daemon takes no new sends.
func (e *examination) disk() {
	dir := e.Config.DataDir
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := e.Free(dir)
	reserve := int64(e.Config.Reserve)
	what := fmt.Sprintf("%d MiB free at %s, reserve %d MiB", free>>20, e.Config.DataDir, reserve>>20)
	switch {
	case err != nil:
		e.watch("disk", plain(err), "the free space is not known", "df -h "+dir)
	case free < reserve:
		e.mend("disk", what, "below the reserve no text is taken (507)", "make room: du -xh "+dir+" | sort -h | tail")
	case free < 4*reserve:
		e.watch("disk", what, "below the reserve no text is taken (507)", "make room: du -xh "+dir+" | sort -h | tail")
	default:
		e.good("disk", what)
	}
}

// plain is an error on one line.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
