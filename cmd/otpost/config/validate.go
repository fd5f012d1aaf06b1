package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// SimulatorDevice is the device name that stands for a simulated modem.
const SimulatorDevice = "simulator"

var (
	modemName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	region     = regexp.MustCompile(`^[A-Z]{2}$`)
	dialPrefix = regexp.MustCompile(`^\+[1-9][0-9]{0,14}$`)
	imei       = regexp.MustCompile(`^[0-9]{15}$`)
)

// checker collects what is wrong, each with the line of its key.
type checker struct {
	root *yaml.Node
	errs []error
}

// bad notes that the value at path (keys and list indices) is wrong.
func (c *checker) bad(path []any, format string, args ...any) {
	n, line, name := c.root, 0, ""
	for _, step := range path {
		switch s := step.(type) {
		case string:
			name = join(name, s)
			if n != nil && n.Kind == yaml.MappingNode {
				n = lookup(n, s)
			}
		case int:
			name = fmt.Sprintf("%s[%d]", name, s)
			if n != nil && n.Kind == yaml.SequenceNode && s < len(n.Content) {
				n = n.Content[s]
			}
		}
		if n != nil && n.Line > 0 {
			line = n.Line
		}
	}
	c.errs = append(c.errs, atLine(line, "%s: %s", name, fmt.Sprintf(format, args...)))
}

func (c *checker) oneOf(path []any, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.bad(path, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

func (c *checker) scopes(path []any, scopes []string) {
	if len(scopes) == 0 {
		c.bad(path, "list at least one scope")
	}
	for _, s := range scopes {
		c.oneOf(path, s, "portal", "messages", "ops", "admin")
	}
}

func (c *checker) atLeast(path []any, value, least int) {
	if value < least {
		c.bad(path, "%d is too small; at least %d", value, least)
	}
}

func at(path ...any) []any { return path }

// validate checks every value on its own; what needs another package's knowledge (templates, classes) is checked there.
func (cfg *Config) validate(root *yaml.Node) error {
	c := &checker{root: root}
	cfg.validateServer(c)
	cfg.validateCountries(c)
	if len(cfg.Modems) == 0 {
		c.bad(at("modems"), "name at least one modem (device: a serial port, or %q)", SimulatorDevice)
	}
	for i := range cfg.Modems {
		cfg.Modems[i].validate(c, i, cfg.Modems[:i])
	}
	for _, l := range []struct {
		name  string
		value int
	}{
		{"phone_hour", cfg.Limits.PhoneHour}, {"phone_day", cfg.Limits.PhoneDay}, {"account_day", cfg.Limits.AccountDay},
		{"account_phones_day", cfg.Limits.AccountPhonesDay}, {"client_hour", cfg.Limits.ClientHour},
		{"prefix_day", cfg.Limits.PrefixDay}, {"key_hour", cfg.Limits.KeyHour},
	} {
		c.atLeast(at("limits", l.name), l.value, 0)
	}
	c.atLeast(at("limits", "text_phone_hour"), cfg.Limits.TextPhoneHour, 1)
	c.atLeast(at("limits", "text_phone_day"), cfg.Limits.TextPhoneDay, 1)
	c.atLeast(at("limits", "text_key_day"), cfg.Limits.TextKeyDay, 1)
	cfg.validateChoices(c)
	return errors.Join(c.errs...)
}

func (cfg *Config) validateServer(c *checker) {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if cfg.Listen != "" && (err != nil || port == "") {
		c.bad(at("listen"), "%q is no address; write host:port, like 127.0.0.1:8475", cfg.Listen)
	} else if ip := net.ParseIP(host); cfg.Listen != "" && !cfg.Insecure && cfg.TLS.CertFile == "" && (ip == nil || !ip.IsLoopback()) && host != "localhost" {
		c.bad(at("listen"), "%q is not a loopback address: set tls.cert_file and tls.key_file, or spell out insecure: true", cfg.Listen)
	}
	if cfg.Listen == "" && cfg.Socket == "" {
		c.bad(at("listen"), "nothing to listen on: set listen or socket")
	}
	if (cfg.TLS.CertFile == "") != (cfg.TLS.KeyFile == "") {
		c.bad(at("tls"), "cert_file and key_file belong together")
	}
	if cfg.TLS.ClientCAFile != "" && cfg.TLS.CertFile == "" {
		c.bad(at("tls", "client_ca_file"), "needs cert_file and key_file")
	}
	if len(cfg.TLS.Clients) > 0 && cfg.TLS.ClientCAFile == "" {
		c.bad(at("tls", "clients"), "needs client_ca_file: nobody would vouch for them")
	}
	for name, scopes := range cfg.TLS.Clients {
		c.scopes(at("tls", "clients", name), scopes)
	}
	for name, scopes := range cfg.SocketUsers {
		c.scopes(at("socket_users", name), scopes)
	}
	if cfg.DataDir == "" {
		c.bad(at("data_dir"), "must name a folder")
	}
	if cfg.Reserve < 16<<20 {
		c.bad(at("reserve"), "%v is too small; at least 16MiB", cfg.Reserve)
	}
	if _, err := time.LoadLocation(cfg.TimeZone); err != nil || cfg.TimeZone == "" {
		c.bad(at("time_zone"), "%q is no time zone; write UTC or a name like Europe/Dublin", cfg.TimeZone)
	}
}

func (cfg *Config) validateCountries(c *checker) {
	if len(cfg.Countries) == 0 {
		c.bad(at("countries"), "list the countries that codes may go to, like [GB, IE], or [\"*\"] for all")
	}
	for i, v := range cfg.Countries {
		if !region.MatchString(v) && (v != "*" || len(cfg.Countries) > 1) {
			c.bad(at("countries", i), "%q is no ISO 3166 country code of two capital letters", v)
		}
	}
	if cfg.DefaultRegion != "" && !region.MatchString(cfg.DefaultRegion) {
		c.bad(at("default_region"), "%q is no ISO 3166 country code of two capital letters", cfg.DefaultRegion)
	}
}

func (cfg *Config) validateChoices(c *checker) {
	for name, p := range cfg.Purposes {
		if p.Lane != nil {
			c.oneOf(at("purposes", name, "lane"), *p.Lane, "withdrawal", "login", "enrol")
		}
	}
	c.oneOf(at("pumping", "mode"), cfg.Pumping.Mode, "off", "observe", "enforce")
	c.oneOf(at("pin", "mode"), cfg.PIN.Mode, "local", "portal")
	if cfg.PIN.Mode == "portal" && (cfg.PIN.URL == "" || cfg.PIN.SecretFile == "") {
		c.bad(at("pin"), "mode portal needs url and secret_file")
	}
	c.oneOf(at("grade", "on_disable"), cfg.Grade.OnDisable, "keep", "revoke")
	c.oneOf(at("uncertain", "codes"), cfg.Uncertain.Codes, "resend_once", "keep")
	c.oneOf(at("uncertain", "texts"), cfg.Uncertain.Texts, "resend_once", "keep")
	c.oneOf(at("log", "format"), cfg.Log.Format, "auto", "text", "json")
	c.oneOf(at("log", "level"), cfg.Log.Level, "debug", "info", "warn", "error")
	if r := time.Duration(cfg.Retention); r < 24*time.Hour || r > 3660*24*time.Hour {
		c.bad(at("retention"), "%v is out of range; 1d to 3660d", cfg.Retention)
	}
	if r := time.Duration(cfg.ReportWait); r < time.Minute || r > 30*24*time.Hour {
		c.bad(at("report_wait"), "%v is out of range; 1m to 30d", cfg.ReportWait)
	}
	for i, w := range cfg.Webhooks {
		if w.URL == "" {
			c.bad(at("webhooks", i, "url"), "must be given")
		}
		if w.SecretFile == "" {
			c.bad(at("webhooks", i, "secret_file"), "must be given: events are signed")
		}
	}
}

var serviceCode = regexp.MustCompile(`^[0-9*#+]{1,64}$`)

const shortestBalance = 10 * time.Minute

// validate checks how the balance of modem i is asked for.
func (b *Balance) validate(c *checker, i int) {
	here := func(key string) []any { return at("modems", i, "balance", key) }
	if *b == (Balance{}) {
		return
	}
	if !serviceCode.MatchString(b.Code) {
		c.bad(here("code"), "%q is no service code: digits, * and # such as \"*100#\"", b.Code)
	}
	if re, err := regexp.Compile(b.Pattern); err != nil {
		c.bad(here("pattern"), "%v", err)
	} else if re.NumSubexp() > 1 {
		c.bad(here("pattern"), "has %d groups; give it one, around the amount", re.NumSubexp())
	}
	if b.Every == 0 {
		b.Every = Duration(6 * time.Hour)
	}
	if time.Duration(b.Every) < shortestBalance {
		c.bad(here("every"), "%v is too often; at least %v", b.Every, shortestBalance)
	}
}

func (m *Modem) validate(c *checker, i int, before []Modem) {
	here := func(key string) []any { return at("modems", i, key) }
	if !modemName.MatchString(m.Name) {
		c.bad(here("name"), "%q is no name: up to 32 small letters, digits, - and _", m.Name)
	}
	for j, other := range before {
		if other.Name == m.Name {
			c.bad(here("name"), "%q is the name of modems[%d] already", m.Name, j)
		}
		if m.Device != "" && m.Device != SimulatorDevice && other.Device == m.Device {
			c.bad(here("device"), "%q is the device of modems[%d] already", m.Device, j)
		}
	}
	switch {
	case m.Device == "" && m.IMEI == "":
		c.bad(here("device"), "give a serial port, %q, or an imei to look for", SimulatorDevice)
	case m.Device != "" && m.Device != SimulatorDevice && !filepath.IsAbs(m.Device):
		c.bad(here("device"), "%q is no absolute path; `otpost modem probe` lists the ports", m.Device)
	}
	if m.IMEI != "" && !imei.MatchString(m.IMEI) {
		c.bad(here("imei"), "is not 15 digits")
	}
	if m.Baud == 0 {
		m.Baud = DefaultBaud
	}
	if m.Baud < 300 || m.Baud > 4000000 {
		c.bad(here("baud"), "%d is out of range; usual speeds are 9600 to 921600", m.Baud)
	}
	for j, p := range m.Prefixes {
		if !dialPrefix.MatchString(p) {
			c.bad(at("modems", i, "prefixes", j), "%q is no prefix; write it like \"+44\"", p)
		}
	}
	c.atLeast(here("per_minute"), m.PerMinute, 0)
	c.atLeast(here("per_day"), m.PerDay, 0)
	c.atLeast(here("per_month"), m.PerMonth, 0)
	m.Balance.validate(c, i)
	if m.Device != SimulatorDevice && m.Simulator != (Simulator{}) {
		c.bad(here("simulator"), "belongs to modems with device: %s", SimulatorDevice)
	}
}
