package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/warthog618/sms/encoding/tpdu"
)

// messageCommands send, store, list, read and delete.
func messageCommands() []entry {
	return []entry{
		{name: "+CMGS", set: sendMessage, sms: true, card: true},
		{name: "+CMGW", set: writeMessage, exec: writeMessage, sms: true, card: true},
		{name: "+CMSS", set: sendStored, sms: true, card: true},
		{name: "+CMGL", set: listMessages, exec: listMessages, sms: true, card: true, test: listValues},
		{name: "+CMGR", set: readMessage, sms: true, card: true},
		{name: "+CMGD", set: deleteMessage, sms: true, card: true, test: deleteValues},
	}
}

// drafts is what lasts between the commands of one send.
type drafts struct {
	stored *stored // sent by +CMSS: becomes "sent"
}

// sendMessage is +CMGS: the prompt, then the message.
func sendMessage(m *Modem, c *call) reply {
	m.draft = drafts{}
	if m.set.textMode {
		to, ok := m.textAddress(c)
		if !ok {
			return fail(cms(305))
		}
		return m.ask(true, func(text string) reply {
			s, ok := m.composeSubmit(to, text)
			if !ok {
				return fail(cms(305))
			}
			return m.submit(s)
		})
	}
	length, ok := c.num(0, -1, 1, maxTPDU)
	if !ok || length < 0 || len(c.args) != 1 {
		return fail(cms(304))
	}
	return m.ask(false, func(text string) reply {
		s, ok := parseSubmit(text, length)
		if !ok {
			return fail(cms(304))
		}
		return m.submit(s)
	})
}

// ask shows the prompt, unless a fault comes before it.
func (m *Modem) ask(text bool, done func(string) reply) reply {
	if r, struck := m.strike(BeforePrompt, ""); struck {
		return r
	}
	return reply{edit: &edit{text: text, done: done}}
}

// submit hands a message to the network: after the submit time its answer is the command's.
func (m *Modem) submit(s submission) reply {
	to := normal(s.t.DA.Number())
	if r, struck := m.strike(AfterSubmit, to); struck {
		return r
	}
	delay := m.submitTime() + m.net.slowness(m, to)
	if delay <= 0 {
		return m.accept(s, to)
	}
	boot := m.boots
	m.after(delay, func() {
		if m.boots == boot {
			m.finish(m.accept(s, to))
		}
	})
	return reply{later: true}
}

// accept asks the network and turns its verdict into the command's answer.
func (m *Modem) accept(s submission, to string) reply {
	switch {
	case m.cardState() != cardReady:
		return fail(cms(311))
	case !m.registered():
		return fail(cms(331))
	case s.smsc == "" && m.sim.smsc == "":
		return fail(cms(330))
	case m.faults.storageFull:
		return fail(cms(322))
	case m.credit == 0:
		return fail(cms(m.net.cfg.CreditCause))
	}
	ref, boot := m.ref, m.boots
	m.ref++ // wraps from 255 to 0 (TS 23.040 9.2.3.6)
	v := m.net.submit(m, s.t, ref, to)
	m.keepLink()
	if v.cause != 0 {
		return fail(cms(v.cause))
	}
	if m.credit > 0 {
		m.credit--
	}
	for _, r := range v.reports {
		m.after(r.after, func() { m.arrive(arrival{report: true, tp: r.tp}) })
	}
	if d := m.draft.stored; d != nil {
		d.status = stoSent
	}
	tag := "+CMGS"
	if m.draft.stored != nil {
		tag = "+CMSS"
	}
	answer := info(fmt.Sprintf("%s:%s%d", tag, m.gap(), ref))
	if m.kind.BlankLines {
		answer.info = append([]string{""}, answer.info...)
	}
	r, struck := m.strikeAccepted(answer, to)
	if m.boots != boot {
		m.ref = ref // what was not noted on the SIM (EF-SMSS) before a restart is given again
	}
	if struck {
		return r
	}
	return answer
}

// writeMessage is +CMGW: as +CMGS, but into mem2.
func writeMessage(m *Modem, c *call) reply {
	status := stoUnsent
	b := m.mem.boxes[m.route.memories[1]]
	if m.set.textMode {
		to, ok := m.textAddress(c)
		if !ok && len(c.args) > 0 {
			return fail(cms(305))
		}
		if status, ok = textStatus(c.str(2, "STO UNSENT")); !ok || status == anyStatus {
			return fail(cms(305))
		}
		return reply{edit: &edit{text: true, done: func(text string) reply {
			s, ok := m.composeSubmit(to, text)
			if !ok {
				return fail(cms(305))
			}
			return m.storeDraft(b, &stored{status: status, pdu: s.raw})
		}}}
	}
	length, ok := c.num(0, -1, 1, maxTPDU)
	status, ok2 := c.num(1, stoUnsent, recUnread, stoSent)
	if !ok || !ok2 || length < 0 {
		return fail(cms(304))
	}
	return reply{edit: &edit{done: func(text string) reply {
		raw, ok := pduOf(text, length)
		if !ok {
			return fail(cms(304))
		}
		return m.storeDraft(b, &stored{status: status, pdu: raw})
	}}}
}

func (m *Modem) storeDraft(b *box, s *stored) reply {
	if m.full(b) {
		return fail(cms(322))
	}
	index, _ := b.put(s)
	return info(fmt.Sprintf("+CMGW: %d", index))
}

// sendStored is +CMSS=<index>[,<da>[,<toda>]].
func sendStored(m *Modem, c *call) reply {
	b := m.mem.boxes[m.route.memories[1]]
	index, ok := c.num(0, -1, 0, 1<<16)
	if !ok || !b.has(index) || b.get(index) == nil {
		return fail(cms(321))
	}
	d := b.get(index)
	t, ok := unmarshalSubmit(d.pdu[1+int(d.pdu[0]):])
	if !ok {
		return fail(cms(304))
	}
	if len(c.args) > 1 {
		to, ok := m.number(c, 1)
		if !ok {
			return fail(cms(304))
		}
		t.DA = address(to)
	}
	if !dialable(t.DA) {
		return fail(cms(304))
	}
	m.draft = drafts{stored: d}
	return m.submit(submission{t: t, raw: d.pdu})
}

// listMessages is +CMGL.
func listMessages(m *Modem, c *call) reply {
	var status int
	var ok bool
	if m.set.textMode {
		status, ok = textStatus(c.str(0, "REC UNREAD"))
	} else {
		status, ok = c.num(0, recUnread, recUnread, anyStatus)
	}
	if !ok {
		return fail(cms(map[bool]int{true: 305, false: 304}[m.set.textMode]))
	}
	b := m.mem.boxes[m.route.memories[0]]
	var lines []string
	for i, s := range b.slots {
		if s == nil || status != anyStatus && s.status != status {
			continue
		}
		lines = append(lines, m.listed(i+b.base, s)...)
		if s.status == recUnread {
			s.status = recRead
		}
	}
	return info(lines...)
}

func (m *Modem) listed(index int, s *stored) []string {
	if m.set.textMode {
		return m.textListed(index, s)
	}
	return []string{fmt.Sprintf("+CMGL: %d,%d,,%d", index, s.status, s.tpduLen()), s.hex()}
}

func listValues(m *Modem) string {
	if m.set.textMode {
		return `("REC UNREAD","REC READ","STO UNSENT","STO SENT","ALL")`
	}
	return "(0-4)"
}

// readMessage is +CMGR: an empty place answers OK alone, as most modems do; an impossible one is an error.
func readMessage(m *Modem, c *call) reply {
	b := m.mem.boxes[m.route.memories[0]]
	index, ok := c.num(0, -1, 0, 1<<16)
	if !ok || !b.has(index) {
		return fail(cms(321))
	}
	s := b.get(index)
	if s == nil {
		return reply{}
	}
	lines := []string{fmt.Sprintf("+CMGR: %d,,%d", s.status, s.tpduLen()), s.hex()}
	if s.report && m.kind.SRPrefix != "" {
		lines[1] = m.kind.SRPrefix + lines[1]
	}
	if m.set.textMode {
		lines = m.textRead(s)
	}
	if s.status == recUnread {
		s.status = recRead
	}
	return info(lines...)
}

// deleteMessage is +CMGD=<index>[,<delflag>].
func deleteMessage(m *Modem, c *call) reply {
	b := m.mem.boxes[m.route.memories[0]]
	index, ok := c.num(0, -1, 0, 1<<16)
	flag, ok2 := c.num(1, 0, 0, 4)
	if !ok || !ok2 || flag == 0 && !b.has(index) {
		return fail(cms(321))
	}
	if flag == 0 {
		b.remove(index)
	}
	for i, s := range b.slots {
		if s != nil && deletes(flag, s.status) {
			b.slots[i] = nil
		}
	}
	m.after(0, m.flushRouted)
	return reply{}
}

// deletes says which states a <delflag> takes (TS 27.005 3.5.4).
func deletes(flag, status int) bool {
	switch flag {
	case 1:
		return status == recRead
	case 2:
		return status == recRead || status == stoSent
	case 3:
		return status == recRead || status == stoSent || status == stoUnsent
	}
	return flag == 4
}

func deleteValues(m *Modem) string {
	b := m.mem.boxes[m.route.memories[0]]
	var used []string
	for i, s := range b.slots {
		if s != nil {
			used = append(used, fmt.Sprint(i+b.base))
		}
	}
	return "(" + strings.Join(used, ",") + "),(0-4)"
}

// validity is how long the network keeps trying to deliver a message.
func validity(t *tpdu.TPDU, now time.Time) time.Duration {
	switch t.VP.Format {
	case tpdu.VpfRelative, tpdu.VpfEnhanced:
		return t.VP.Duration
	case tpdu.VpfAbsolute:
		return t.VP.Time.Sub(now)
	}
	return 48 * time.Hour
}
