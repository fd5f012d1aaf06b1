package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// messageSettings are the commands that say how messages are handled.
func messageSettings() []entry {
	return []entry{
		{name: "+CSCA", read: readCentre, set: setCentre, sms: true, card: true},
		{name: "+CSMS", read: readService, set: setService, sms: true, test: func(m *Modem) string { return m.kind.CSMS }},
		{name: "+CMGF", read: readFormat, set: setFormat, sms: true, test: constant("(0,1)")},
		{name: "+CSCS", read: func(m *Modem, _ *call) reply { return info(fmt.Sprintf(`+CSCS: "%s"`, m.set.charset)) },
			set: setCharset, test: func(m *Modem) string { return `("` + strings.Join(m.kind.Charsets, `","`) + `")` }},
		{name: "+CSMP", read: readParameters, set: setParameters, sms: true},
		{name: "+CSDH", test: constant("(0,1)"), sms: true, read: func(m *Modem, _ *call) reply {
			return info(fmt.Sprintf("+CSDH: %d", map[bool]int{true: 1}[m.set.show]))
		}, set: func(m *Modem, c *call) reply {
			v, ok := c.num(0, 0, 0, 1)
			if !ok {
				return fail(cms(305))
			}
			m.set.show = v == 1
			return reply{}
		}},
		{name: "+CNMI", read: readCNMI, set: setCNMI, sms: true, test: func(m *Modem) string { return m.kind.CNMI.Test }},
		{name: "+CPMS", read: readMemories, set: setMemories, sms: true, card: true, test: testMemories},
		number("+CMMS", "(0-2)", 0, 2, func(m *Modem) *int { return &m.set.cmms }),
		number("+CGSMS", "(0-3)", 0, 3, func(m *Modem) *int { return &m.set.service }),
		{name: "+CNMA", exec: acknowledge, set: acknowledge, sms: true, test: constant("(0-2)")},
	}
}

func readCentre(m *Modem, _ *call) reply {
	return info(fmt.Sprintf(`+CSCA: "%s",%d`, m.toHost(m.sim.smsc), toa(m.sim.smsc)))
}

func setCentre(m *Modem, c *call) reply {
	number, ok := m.fromHost(c.str(0, ""))
	if !ok || strings.Trim(strings.TrimPrefix(number, "+"), "0123456789") != "" || len(number) > 21 {
		return fail(cms(304))
	}
	if kind, ok := c.num(1, toa(number), 0, 255); ok && kind == 145 && number != "" && number[0] != '+' {
		number = "+" + number
	}
	m.sim.smsc = number
	return reply{}
}

func readService(m *Modem, _ *call) reply { return info(fmt.Sprintf("+CSMS: %d,1,1,1", m.set.csms)) }

func setService(m *Modem, c *call) reply {
	v, ok := c.num(0, 0, 0, 128)
	if !ok || v != 0 && v != 1 || v == 1 && !m.kind.Phase2 {
		return fail(cms(303))
	}
	m.set.csms = v
	m.route.awaiting = false
	return info("+CSMS: 1,1,1")
}

func readFormat(m *Modem, _ *call) reply {
	return info(fmt.Sprintf("+CMGF:%s%d", m.gap(), map[bool]int{true: 1}[m.set.textMode]))
}

func setFormat(m *Modem, c *call) reply {
	v, ok := c.num(0, 0, 0, 1)
	if !ok || len(c.args) > 1 {
		return fail(cms(302))
	}
	m.set.textMode = v == 1
	return reply{}
}

func setCharset(m *Modem, c *call) reply {
	name := strings.ToUpper(c.str(0, ""))
	if !slices.Contains(m.kind.Charsets, name) {
		if plain, ok := fromUCS2(name); ok && slices.Contains(m.kind.Charsets, plain) {
			name = plain // hosts that are in UCS2 write the next set's name in it
		} else {
			return fail(cme(50))
		}
	}
	m.set.charset = name
	return reply{}
}

func readParameters(m *Modem, _ *call) reply {
	vp := strconv.Itoa(m.set.vp)
	if m.set.vpText != "" {
		vp = `"` + m.set.vpText + `"`
	}
	return info(fmt.Sprintf("+CSMP: %d,%s,%d,%d", m.set.fo, vp, m.set.pid, m.set.dcs))
}

// setParameters is +CSMP=<fo>[,<vp>[,<pid>[,<dcs>]]] for SMS-SUBMIT (TS 27.005 3.2.3).
func setParameters(m *Modem, c *call) reply {
	fo, ok := c.num(0, m.set.fo, 0, 255)
	pid, ok2 := c.num(2, m.set.pid, 0, 255)
	dcs, ok3 := c.num(3, m.set.dcs, 0, 255)
	if !ok || !ok2 || !ok3 || fo&3 != 1 || len(c.args) > 4 {
		return fail(cms(305))
	}
	vp, text := m.set.vp, ""
	switch {
	case fo&0x18 == 0x18: // absolute: a time
		if text = c.str(1, m.set.vpText); text == "" {
			return fail(cms(305))
		}
		if _, err := parseClock(text); err != nil {
			return fail(cms(305))
		}
	case fo&0x18 == 0x08: // enhanced: not simulated in text mode
		return fail(cms(305))
	default:
		var ok bool
		if vp, ok = c.num(1, m.set.vp, 0, 255); !ok {
			return fail(cms(305))
		}
	}
	m.set.fo, m.set.vp, m.set.vpText, m.set.pid, m.set.dcs = fo, vp, text, pid, dcs
	return reply{}
}

func readCNMI(m *Modem, _ *call) reply {
	n := m.set.cnmi
	return info(fmt.Sprintf("+CNMI: %d,%d,%d,%d,%d", n[0], n[1], n[2], n[3], n[4]))
}

// setCNMI is +CNMI=[<mode>[,<mt>[,<bm>[,<ds>[,<bfr>]]]]] (TS 27.005 3.4.1).
func setCNMI(m *Modem, c *call) reply {
	next := m.set.cnmi
	if len(c.args) > len(next) {
		return fail(cms(302))
	}
	k := m.kind.CNMI
	for i, allowed := range [][]int{k.Mode, k.MT, k.BM, k.DS, k.BFR} {
		v, ok := c.num(i, next[i], 0, 9)
		if !ok || !slices.Contains(allowed, v) && v != m.kind.CNMI.Default[i] {
			return fail(cms(302))
		}
		next[i] = v
	}
	if direct := next[1] > 1 || next[3] == 1; direct && k.Direct != nil && !slices.Contains(k.Direct, next[0]) {
		return fail(cms(302))
	}
	m.set.cnmi = next
	if next[0] == 0 {
		return reply{}
	}
	buffered := m.route.buffered
	m.route.buffered = nil
	m.after(0, func() {
		if next[4] == 0 {
			for _, lines := range buffered {
				m.urc(lines...)
			}
		}
		m.flushRouted()
	})
	return reply{}
}

func testMemories(m *Modem) string {
	list := func(names []string) string { return `("` + strings.Join(names, `","`) + `")` }
	if m.kind.Groups == 2 {
		return "(" + list(m.kind.Read) + "," + list(m.kind.Write) + ")"
	}
	return list(m.kind.Read) + "," + list(m.kind.Write) + "," + list(m.kind.Receive)
}

func readMemories(m *Modem, _ *call) reply {
	var parts []string
	for _, name := range m.route.memories[:m.kind.Groups] {
		used, total := m.usage(m.mem.boxes[name])
		parts = append(parts, fmt.Sprintf(`"%s",%d,%d`, name, used, total))
	}
	return info("+CPMS:" + m.gap() + strings.Join(parts, ","))
}

func setMemories(m *Modem, c *call) reply {
	next := m.route.memories
	if len(c.args) > m.kind.Groups || c.str(0, "") == "" {
		return fail(cms(302))
	}
	for i, allowed := range [][]string{m.kind.Read, m.kind.Write, m.kind.Receive} {
		name := c.str(i, next[i])
		if !slices.Contains(allowed, name) {
			return fail(cms(302))
		}
		next[i] = name
	}
	m.route.memories = next
	var parts []string
	for _, name := range next[:m.kind.Groups] {
		used, total := m.usage(m.mem.boxes[name])
		parts = append(parts, fmt.Sprintf("%d,%d", used, total))
	}
	m.after(0, m.flushRouted)
	return info("+CPMS:" + m.gap() + strings.Join(parts, ","))
}

func acknowledge(m *Modem, c *call) reply {
	if n, ok := c.num(0, 0, 0, 2); c.op == opSet && (!ok || n > 2) {
		return fail(cms(304))
	}
	return m.acknowledge()
}

// clockForm is how +CCLK and message times are written (TS 27.007 8.15).
const clockForm = "06/01/02,15:04:05"

// clock writes a time with its zone in quarters of an hour.
func clock(t time.Time) string {
	_, offset := t.Zone()
	return t.Format(clockForm) + fmt.Sprintf("%+03d", offset/900)
}

func parseClock(s string) (time.Time, error) {
	if len(s) < len(clockForm) {
		return time.Time{}, fmt.Errorf("a time like %q is wanted", clockForm)
	}
	t, err := time.Parse(clockForm, s[:len(clockForm)])
	if err != nil {
		return time.Time{}, fmt.Errorf("read a time: %w", err)
	}
	quarters := 0
	if zone := s[len(clockForm):]; zone != "" {
		if quarters, err = strconv.Atoi(zone); err != nil || quarters < -96 || quarters > 96 {
			return time.Time{}, fmt.Errorf("a zone in quarters of an hour is wanted")
		}
	}
	return t.Add(-time.Duration(quarters) * 15 * time.Minute), nil
}

// phoneCommands are the rest of what phone software asks for.
func phoneCommands() []entry {
	return []entry{
		{name: "+CCLK", read: readClock, set: setClock},
		{name: "+CBC", exec: func(*Modem, *call) reply { return info("+CBC: 0,100,4000") }, test: constant("(0-3),(0-100),(voltage)")},
		{name: "+CPAS", exec: func(*Modem, *call) reply { return info("+CPAS: 0") }, test: constant("(0,2,3,4,5)")},
		{name: "+WS46", read: func(*Modem, *call) reply { return info("+WS46: 12") }, set: noForm, test: constant("(12,22,25,28)")},
		switchOf("+CLIP", "(0,1)"), switchOf("+CRC", "(0,1)"), switchOf("+COLP", "(0,1)"), switchOf("+CCWA", "(0,1)"),
		switchOf("+CSSN", "(0,1)"), switchOf("+CTZU", "(0,1)"), switchOf("+CTZR", "(0-2)"), switchOf("+CGEREP", "(0-2)"),
		{name: "+CHUP", exec: noForm},
	}
}

// switchOf remembers one small number and does nothing with it.
func switchOf(name, test string) entry {
	return entry{
		name: name, test: constant(test),
		read: func(m *Modem, _ *call) reply {
			v := m.set.values[name]
			if v == "" {
				v = "0"
			}
			return info(name + ": " + v)
		},
		set: func(m *Modem, c *call) reply {
			v, ok := c.num(0, 0, 0, 2)
			if !ok {
				return fail(cme(50))
			}
			m.set.values[name] = strconv.Itoa(v)
			return reply{}
		},
	}
}

func readClock(m *Modem, _ *call) reply {
	return info(`+CCLK: "` + clock(time.Now().UTC().Add(m.clockShift)) + `"`)
}

func setClock(m *Modem, c *call) reply {
	t, err := parseClock(c.str(0, ""))
	if err != nil {
		return fail(cme(50))
	}
	m.clockShift = time.Until(t)
	return reply{}
}
