// Package config reads the daemon's configuration: one YAML file, strictly, with OTPOST_… environment variables laid over
// it. It knows the shape and the limits of every key, and says file, line and key when something is wrong; what the values
// mean is the business of the packages they go to.
package config

import (
	"time"
)

// Config is the whole configuration. configs/otpost.yaml explains every key; Default has the values of those left out.
type Config struct {
	Listen        string              `yaml:"listen"`
	TLS           TLS                 `yaml:"tls"`
	Insecure      bool                `yaml:"insecure"`
	Socket        string              `yaml:"socket"`
	SocketUsers   map[string][]string `yaml:"socket_users"`
	DataDir       string              `yaml:"data_dir"`
	KeyFile       string              `yaml:"key_file"`
	Reserve       Size                `yaml:"reserve"`
	Countries     []string            `yaml:"countries"`
	DefaultRegion string              `yaml:"default_region"`
	TimeZone      string              `yaml:"time_zone"`
	Modems        []Modem             `yaml:"modems"`
	Purposes      map[string]Purpose  `yaml:"purposes"`
	Limits        Limits              `yaml:"limits"`
	Pumping       Pumping             `yaml:"pumping"`
	PIN           PIN                 `yaml:"pin"`
	Grade         Grade               `yaml:"grade"`
	Texts         Texts               `yaml:"texts"`
	Uncertain     Uncertain           `yaml:"uncertain"`
	Retention     Duration            `yaml:"retention"`
	ReportWait    Duration            `yaml:"report_wait"`
	Webhooks      []Webhook           `yaml:"webhooks"`
	Log           Log                 `yaml:"log"`
}

// TLS names the certificate that the listener shows and the authority whose client certificates it accepts.
type TLS struct {
	CertFile     string              `yaml:"cert_file"`
	KeyFile      string              `yaml:"key_file"`
	ClientCAFile string              `yaml:"client_ca_file"`
	Clients      map[string][]string `yaml:"clients"` // scopes by the name in a client's certificate
}

// Modem is one modem: a device or an IMEI to look for, and what may go through it.
type Modem struct {
	Name       string            `yaml:"name"`
	Device     string            `yaml:"device"`
	IMEI       string            `yaml:"imei"`
	Baud       int               `yaml:"baud"`
	SIMPINFile string            `yaml:"sim_pin_file"`
	Prefixes   []string          `yaml:"prefixes"`
	PerMinute  int               `yaml:"per_minute"`
	PerDay     int               `yaml:"per_day"`
	PerMonth   int               `yaml:"per_month"`
	Balance    Balance           `yaml:"balance"`
	USBReset   bool              `yaml:"usb_reset"`
	ResetHook  []string          `yaml:"reset_hook"`
	Classes    map[string]string `yaml:"classes"`
	Simulator  Simulator         `yaml:"simulator"`
}

// Balance is how the credit of a modem's prepaid SIM is asked for; without a code it is not.
type Balance struct {
	Code    string   `yaml:"code"`
	Pattern string   `yaml:"pattern"`
	Every   Duration `yaml:"every"`
}

// Simulator shapes a modem whose device is "simulator".
type Simulator struct {
	Personality string   `yaml:"personality"`
	SubmitTime  Duration `yaml:"submit_time"`
	ReportDelay Duration `yaml:"report_delay"`
}

// Purpose is the policy of one purpose; what is left out keeps the purpose's default.
type Purpose struct {
	TTL          *Duration `yaml:"ttl"`
	Digits       *int      `yaml:"digits"`
	PIN          *string   `yaml:"pin"`
	Transaction  *bool     `yaml:"transaction"`
	Resend       *string   `yaml:"resend"`
	ClientSecret *bool     `yaml:"client_secret"`
	Lane         *string   `yaml:"lane"` // withdrawal, login or enrol
}

// Limits are the most sends (or new phones) in a window.
type Limits struct {
	PhoneHour        int `yaml:"phone_hour"`
	PhoneDay         int `yaml:"phone_day"`
	AccountDay       int `yaml:"account_day"`
	AccountPhonesDay int `yaml:"account_phones_day"`
	ClientHour       int `yaml:"client_hour"`
	PrefixDay        int `yaml:"prefix_day"`
	KeyHour          int `yaml:"key_hour"`
	TextPhoneHour    int `yaml:"text_phone_hour"`
	TextPhoneDay     int `yaml:"text_phone_day"`
	TextKeyDay       int `yaml:"text_key_day"`
}

// Pumping is the guard against traffic that only earns termination fees.
type Pumping struct {
	Mode string `yaml:"mode"` // off, observe or enforce
}

// PIN says who knows the PINs.
type PIN struct {
	Mode       string   `yaml:"mode"` // local or portal
	URL        string   `yaml:"url"`
	SecretFile string   `yaml:"secret_file"`
	Timeout    Duration `yaml:"timeout"`
}

// Grade is what turning SMS codes off does to the grade.
type Grade struct {
	OnDisable string `yaml:"on_disable"` // keep or revoke
}

// Texts are the templates by locale and purpose, and the last line that browsers and Android read.
type Texts struct {
	Locale      string                       `yaml:"locale"`
	Host        string                       `yaml:"host"`
	AndroidHash string                       `yaml:"android_hash"`
	Templates   map[string]map[string]string `yaml:"templates"`
}

// Uncertain is what may be done about a message that may or may not have gone out.
type Uncertain struct {
	Codes string `yaml:"codes"` // resend_once or keep
	Texts string `yaml:"texts"`
}

// Webhook is an endpoint that events are posted to.
type Webhook struct {
	Name         string   `yaml:"name"` // stands in metrics and logs; empty: the URL's host
	URL          string   `yaml:"url"`
	SecretFile   string   `yaml:"secret_file"`
	OldSecret    string   `yaml:"old_secret_file"`
	Events       []string `yaml:"events"`
	AllowPrivate bool     `yaml:"allow_private"`
}

// Log says how and how much is logged.
type Log struct {
	Format string `yaml:"format"` // text, json, or auto
	Level  string `yaml:"level"`
}

// Default returns the configuration with every default, which is complete but for countries and modems.
func Default() Config {
	return Config{
		Listen:    "127.0.0.1:8475",
		Socket:    "/run/otpost/otpost.sock",
		DataDir:   "/var/lib/otpost",
		Reserve:   64 << 20,
		TimeZone:  "UTC",
		Limits:    Limits{PhoneHour: 5, PhoneDay: 10, AccountDay: 20, AccountPhonesDay: 3, ClientHour: 30, PrefixDay: 10_000, KeyHour: 20_000, TextPhoneHour: 20, TextPhoneDay: 60, TextKeyDay: 5_000},
		Pumping:   Pumping{Mode: "observe"},
		PIN:       PIN{Mode: "local", Timeout: Duration(3 * time.Second)},
		Grade:     Grade{OnDisable: "keep"},
		Texts:     Texts{Locale: "en"},
		Uncertain: Uncertain{Codes: "resend_once", Texts: "keep"},
		Retention: Duration(30 * 24 * time.Hour), ReportWait: Duration(24 * time.Hour),
		Log: Log{Format: "auto", Level: "info"},
	}
}

// DefaultBaud is the line speed of a modem that names none.
const DefaultBaud = 115200
