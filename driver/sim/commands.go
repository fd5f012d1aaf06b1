package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Causes shared by commands; entry.fail turns them into the command's own family.
const (
	errOperation = iota // the form or the moment is not allowed
	errParameter
)

// form answers one form of a command.
type form func(*Modem, *call) reply

// entry is one command: its forms, and what it needs.
type entry struct {
	name            string
	exec, read, set form
	test            func(*Modem) string // what stands behind "=?"; nil: only OK
	tested          form                // answers "=?" instead of test
	sms             bool                // fails with +CMS ERROR
	card            bool                // needs a SIM that is unlocked
	quirk           func(*Modem, *call, reply) reply
}

// fail is a cause in the command's family.
func (e *entry) fail(cause int) result {
	switch {
	case e.sms && cause == errParameter:
		return cms(304)
	case e.sms:
		return cms(302)
	case cause == errParameter:
		return cme(50)
	}
	return cme(3)
}

var noForm form = func(*Modem, *call) reply { return reply{} }

// commandTable is all commands of a personality, by name.
func commandTable(kind *Personality) map[string]*entry {
	table := map[string]*entry{}
	for _, list := range [][]entry{
		basicCommands(), identityCommands(), cardCommands(), networkCommands(), messageSettings(), messageCommands(),
		phoneCommands(),
	} {
		for _, e := range list {
			table[e.name] = &e
		}
	}
	for name, lines := range kind.Extra {
		addExtra(table, name, lines)
	}
	for _, name := range kind.Missing {
		delete(table, name)
	}
	applyQuirks(table, kind)
	return table
}

// addExtra adds a fixed answer: "+X" for exec, "+X?" for read, "+X=?" for test, "+X=" for whatever is set.
func addExtra(table map[string]*entry, name string, lines []string) {
	base := strings.TrimRight(name, "=?")
	e := table[base]
	if e == nil {
		e = &entry{name: base}
		table[base] = e
	}
	say := func(m *Modem, _ *call) reply { return info(m.fillAll(lines)...) }
	switch name[len(base):] {
	case "":
		e.exec = say
	case "?":
		e.read = say
	case "=":
		e.set = say
	case "=?":
		e.test = func(m *Modem) string {
			return strings.TrimPrefix(strings.Join(m.fillAll(lines), m.lineBreak()), base+": ")
		}
	}
}

// applyQuirks bends standard commands as the personality has it.
func applyQuirks(table map[string]*entry, kind *Personality) {
	if e := table["+CPIN"]; e != nil && kind.CPINNoOK {
		e.quirk = func(_ *Modem, c *call, r reply) reply {
			r.mute = c.op == opRead && r.result == resultOK
			return r
		}
	}
	if e := table["+CSMP"]; e != nil && kind.CSMPRefused {
		e.set = func(*Modem, *call) reply { return fail(resultError) }
	}
	if e := table["+CMMS"]; e != nil && kind.CMMSCause != 0 {
		e.set = func(*Modem, *call) reply { return fail(cms(kind.CMMSCause)) }
	}
	if e := table[kind.Quiet]; e != nil || kind.Quiet != "" {
		if e == nil {
			e = &entry{name: kind.Quiet}
			table[kind.Quiet] = e
		}
		e.set = func(m *Modem, c *call) reply {
			m.set.values["quiet"] = c.str(0, "")
			return reply{}
		}
	}
}

// blocked says why a command cannot run now: no SIM, a PIN that is asked, a modem that is still booting.
func (m *Modem) blocked(e *entry, c *call) result {
	if !e.card || c.op == opTest {
		return resultOK
	}
	codes := map[cardState][2]int{cardMissing: {10, 310}, cardPIN: {11, 311}, cardPUK: {12, 316}}
	code, locked := codes[m.cardState()]
	if m.booting {
		code, locked = [2]int{14, 314}, true // SIM busy
	}
	switch {
	case !locked:
		return resultOK
	case e.sms:
		return cms(code[1])
	}
	return cme(code[0])
}

// basicCommands are those of V.250 without a plus.
func basicCommands() []entry {
	ignore := func(name string) entry { return entry{name: name, exec: noForm} }
	list := []entry{
		toggle("E", func(s *settings, on bool) { s.echo = on }),
		toggle("V", func(s *settings, on bool) { s.verbose = on }),
		toggle("Q", func(s *settings, on bool) { s.quiet = on }),
		{name: "Z", exec: resetForm}, {name: "&F", exec: resetForm},
		{name: "I", exec: func(m *Modem, _ *call) reply { return info(m.fillAll(m.kind.Info)...) }},
		{name: "H", exec: noForm},
		{name: "O", exec: func(*Modem, *call) reply { return fail(result{kind: "NO CARRIER"}) }},
		{name: "D", exec: dial},
		{name: "A", exec: func(*Modem, *call) reply { return fail(result{kind: "NO CARRIER"}) }},
		{name: "&V", exec: showSettings},
	}
	for _, n := range []string{"X", "L", "M", "T", "P", "&C", "&D", "&K", "&W", "&S", "&R"} {
		list = append(list, ignore(n))
	}
	for n, fallback := range []int{0, 0, 43, 13, 10, 8, 2, 60, 2, 6, 14, 95, 50} {
		list = append(list, register(n, fallback))
	}
	return list
}

func toggle(name string, apply func(*settings, bool)) entry {
	return entry{name: name, exec: func(m *Modem, c *call) reply {
		if c.raw != "" && c.raw != "0" && c.raw != "1" {
			return fail(resultError)
		}
		apply(&m.set, c.raw == "1")
		return reply{}
	}}
}

func resetForm(m *Modem, _ *call) reply {
	m.reset()
	return reply{}
}

// dial knows supplementary service codes only; a voice call finds nobody.
func dial(m *Modem, c *call) reply {
	if code := strings.TrimSuffix(strings.TrimSpace(c.raw), ";"); strings.HasPrefix(code, "*") || strings.HasPrefix(code, "#") {
		return m.ussd(code)
	}
	return fail(result{kind: "NO CARRIER"})
}

// register is one S-parameter; 3, 4 and 5 change the line for real.
func register(n, fallback int) entry {
	name := "S" + strconv.Itoa(n)
	return entry{
		name: name,
		read: func(m *Modem, _ *call) reply {
			v, ok := m.set.registers[name]
			if !ok {
				v = fallback
			}
			return info(fmt.Sprintf("%03d", v))
		},
		set: func(m *Modem, c *call) reply {
			v, ok := c.num(0, 0, 0, 255)
			if !ok || n >= 3 && n <= 5 && v > 127 {
				return fail(resultError)
			}
			m.set.registers[name] = v
			switch n {
			case 3:
				m.set.s3 = byte(v)
			case 4:
				m.set.s4 = byte(v)
			case 5:
				m.set.s5 = byte(v)
			}
			return reply{}
		},
	}
}

func showSettings(m *Modem, _ *call) reply {
	bit := map[bool]int{true: 1}
	return info("ACTIVE PROFILE:", fmt.Sprintf("E%d Q%d V%d S3:%03d S4:%03d S5:%03d +CMEE:%d +CMGF:%d",
		bit[m.set.echo], bit[m.set.quiet], bit[m.set.verbose], m.set.s3, m.set.s4, m.set.s5, m.set.cmee, bit[m.set.textMode]))
}

// identityCommands say who the modem is.
func identityCommands() []entry {
	say := func(get func(m *Modem) string) form {
		return func(m *Modem, _ *call) reply { return info(get(m)) }
	}
	maker := say(func(m *Modem) string { return m.kind.Manufacturer })
	model := say(func(m *Modem) string { return m.kind.Model })
	revision := say(func(m *Modem) string { return m.kind.Revision })
	imei := say(func(m *Modem) string { return m.id.imei })
	iccid := say(func(m *Modem) string { return "+CCID: " + m.id.iccid })
	return []entry{
		{name: "+CGMI", exec: maker}, {name: "+GMI", exec: maker},
		{name: "+CGMM", exec: model}, {name: "+GMM", exec: model},
		{name: "+CGMR", exec: revision}, {name: "+GMR", exec: revision},
		{name: "+CGSN", exec: imei, set: serial, test: constant("(0-3)")}, {name: "+GSN", exec: imei},
		{name: "+CIMI", exec: say(func(m *Modem) string { return m.id.imsi }), card: true},
		{name: "+CCID", exec: iccid, read: iccid, card: true},
		{name: "+GCAP", exec: say(func(*Modem) string { return "+GCAP: +CGSM" })},
		{name: "+CLAC", exec: listCommands},
	}
}

func constant(s string) func(*Modem) string { return func(*Modem) string { return s } }

// serial is +CGSN=<snt> (TS 27.007 5.4).
func serial(m *Modem, c *call) reply {
	n, ok := c.num(0, 1, 0, 3)
	switch {
	case !ok:
		return fail(cme(50))
	case n == 0:
		return info(m.id.imei)
	case n == 1:
		return info(`+CGSN: "` + m.id.imei + `"`)
	case n == 2:
		return info(`+CGSN: "` + m.id.imei[:14] + `01"`)
	}
	return info(`+CGSN: "01"`)
}

func listCommands(m *Modem, _ *call) reply {
	var names []string
	for name := range m.commands {
		names = append(names, "AT"+name)
	}
	slices.Sort(names)
	return info(names...)
}
