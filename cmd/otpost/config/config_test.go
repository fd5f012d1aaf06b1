package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const minimal = "countries: [GB]\nmodems: [{name: m0, device: simulator}]\n"

// The reference file says each default as it is, and explains every key there is.
func TestReferenceFile(t *testing.T) {
	const path = "../../../configs/otpost.yaml"
	got, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Countries, want.Modems = got.Countries, got.Modems
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults differ from %s (-default +file):\n%s", path, diff)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(reflect.TypeFor[Config]()) {
		if !strings.Contains(string(b), key+":") {
			t.Errorf("%s does not explain the key %q", path, key)
		}
	}
}

func keysOf(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for f := range t.Fields() {
		keys = append(append(keys, f.Tag.Get("yaml")), keysOf(f.Type)...)
	}
	return keys
}

func TestParse(t *testing.T) {
	got, err := Parse("c.yaml", []byte(minimal+"retention: 7d\nreserve: 1GiB\npurposes: {withdrawal: {ttl: 3m}}\n"),
		[]string{"OTPOST_LIMITS__PHONE_DAY=7", "OTPOST_LISTEN=127.0.0.1:0", "OTPOST_COUNTRIES=[IE, FR]", "OTPOST_TEST_MODEM=/dev/x", "HOME=/"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	ttl, err := parseDuration("3m")
	if err != nil {
		t.Fatal(err)
	}
	d := Duration(ttl)
	week, err := parseDuration("7d")
	if err != nil {
		t.Fatal(err)
	}
	want.Retention, want.Reserve = Duration(week), 1<<30
	want.Purposes = map[string]Purpose{"withdrawal": {TTL: &d}}
	want.Limits.PhoneDay, want.Listen, want.Countries = 7, "127.0.0.1:0", []string{"IE", "FR"}
	want.Modems = []Modem{{Name: "m0", Device: "simulator", Baud: DefaultBaud}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		name, yaml string
		env        []string
		want       string
	}{
		{"typo", minimal + "data_dri: /x\n", nil, `c.yaml:3: unknown key "data_dri"; did you mean "data_dir"?`},
		{"typo below", "countries: [GB]\nmodems:\n  - name: m0\n    devise: simulator\n", nil, `c.yaml:4: unknown key "modems[0].devise"; did you mean "device"?`},
		{"typo in a map", minimal + "purposes:\n  login: {tll: 3m}\n", nil, `c.yaml:4: unknown key "purposes.login.tll"; did you mean "ttl"?`},
		{"nothing like it", minimal + "zzzzzz: 1\n", nil, `c.yaml:3: unknown key "zzzzzz"`},
		{"twice", minimal + "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", nil, `c.yaml:4: key "listen" stands already in line 3`},
		{"wrong type", minimal + "insecure: maybe\n", nil, "c.yaml:3: insecure must be true or false"},
		{"list for a text", minimal + "listen: [a]\n", nil, "c.yaml:3: listen must be a text"},
		{"several", "countries: GB\nmodems: 5\nlimits: {phone_day: many}\nretention: [1]\ntls: x\n", nil, "c.yaml:1: countries must be a list, like [a, b]\n" +
			"c.yaml:2: modems must be a list, like [a, b]\nc.yaml:3: limits.phone_day must be a whole number\n" +
			"c.yaml:4: retention must be one value\nc.yaml:5: tls must be a mapping of keys to values"},
		{"no yaml", "a: [", nil, `c.yaml:1: did not find expected node content`},
		{"alias", "countries: &a [GB]\nlisten: *a\n", nil, `c.yaml:2: listen is an alias; write the value out`},
		{"no mapping", "- a\n", nil, `c.yaml:1: the file must be a mapping of keys to values`},
		{"two documents", minimal + "---\na: 1\n", nil, `c.yaml: the file holds more than one document; keep one`},
		{"empty", "", nil, "c.yaml: countries: list the countries that codes may go to, like [GB, IE], or [\"*\"] for all\n" +
			`c.yaml: modems: name at least one modem (device: a serial port, or "simulator")`},
		{"open to the world", minimal + "listen: 0.0.0.0:80\n", nil, `c.yaml:3: listen: "0.0.0.0:80" is not a loopback address: set tls.cert_file and tls.key_file, or spell out insecure: true`},
		{"listen", minimal + "listen: here\n", nil, `c.yaml:3: listen: "here" is no address; write host:port, like 127.0.0.1:8475`},
		{"half a certificate", minimal + "tls: {cert_file: a}\n", nil, `c.yaml:3: tls: cert_file and key_file belong together`},
		{"clients of nobody", minimal + "tls: {cert_file: a, key_file: b, clients: {x: [portal]}}\n", nil, `c.yaml:3: tls.clients: needs client_ca_file: nobody would vouch for them`},
		{"scope", minimal + "socket_users: {bob: [root]}\n", nil, `c.yaml:3: socket_users.bob: "root" is none of portal, messages, ops, admin`},
		{"lane", minimal + "purposes: {login: {lane: fast}}\n", nil, `c.yaml:3: purposes.login.lane: "fast" is none of withdrawal, login, enrol`},
		{"duration", minimal + "retention: 5 weeks\n", nil, `c.yaml:3: "5 weeks" is not a duration; write it as 90s, 5m, 24h or 30d`},
		{"size", minimal + "reserve: 64MB\n", nil, `c.yaml:3: "64MB" is not a size; write it as 512KiB, 64MiB or 1GiB`},
		{"country", "countries: [uk]\nmodems: [{name: m0, device: simulator}]\n", nil, `c.yaml:1: countries[0]: "uk" is no ISO 3166 country code of two capital letters`},
		{"no device", "countries: [GB]\nmodems: [{name: m0}]\n", nil, `c.yaml:2: modems[0].device: give a serial port, "simulator", or an imei to look for`},
		{"relative device", "countries: [GB]\nmodems: [{name: m0, device: ttyUSB0}]\n", nil, "c.yaml:2: modems[0].device: \"ttyUSB0\" is no absolute path; `otpost modem probe` lists the ports"},
		{"two modems of one name", "countries: [GB]\nmodems:\n- {name: a, device: simulator}\n- {name: a, device: simulator}\n", nil, `c.yaml:4: modems[1].name: "a" is the name of modems[0] already`},
		{"prefix", "countries: [GB]\nmodems: [{name: m0, device: simulator, prefixes: [\"44\"]}]\n", nil, `c.yaml:2: modems[0].prefixes[0]: "44" is no prefix; write it like "+44"`},
		{"balance", "countries: [GB]\nmodems:\n- name: m0\n  device: simulator\n  balance:\n    code: ring\n    pattern: (a)(b)\n    every: 1m\n", nil,
			`c.yaml:6: modems[0].balance.code: "ring" is no service code: digits, * and # such as "*100#"` + "\n" +
				"c.yaml:7: modems[0].balance.pattern: has 2 groups; give it one, around the amount\n" +
				"c.yaml:8: modems[0].balance.every: 1m0s is too often; at least 10m0s"},
		{"quota", "countries: [GB]\nmodems: [{name: m0, device: simulator, per_day: -1}]\n", nil, `c.yaml:2: modems[0].per_day: -1 is too small; at least 0`},
		{"choice", minimal + "grade: {on_disable: drop}\n", nil, `c.yaml:3: grade.on_disable: "drop" is none of keep, revoke`},
		{"time zone", minimal + "time_zone: Mars\n", nil, `c.yaml:3: time_zone: "Mars" is no time zone; write UTC or a name like Europe/Dublin`},
		{"environment", minimal, []string{"OTPOST_LISTN=x"}, `c.yaml: environment variable OTPOST_LISTN: names the unknown key "listn"; did you mean "listen"?`},
		{"environment below", minimal, []string{"OTPOST_PIN__MOOD=x"}, `c.yaml: unknown key "pin.mood"; did you mean "mode"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(tt.yaml), tt.env)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// FuzzParse: whatever the file holds, Parse returns a configuration that is valid or an error that names the file.
func FuzzParse(f *testing.F) {
	reference, err := os.ReadFile("../../../configs/otpost.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	for _, s := range []string{minimal, "", "a: &a [*a]", "countries: *x", "modems: {}", "- 1", "\x00", "a: {b: {c: d}}\n---\n", "modems: [null]", "limits: [1]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := Parse("c.yaml", b, nil)
		switch {
		case err != nil && !strings.HasPrefix(err.Error(), "c.yaml:"):
			t.Errorf("error without the file's name: %v", err)
		case err == nil && (len(cfg.Modems) == 0 || len(cfg.Countries) == 0):
			t.Error("a configuration without modems or countries passed")
		}
	})
}
