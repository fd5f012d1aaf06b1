package driver

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warthog618/sms/encoding/tpdu"
)

// storage is the modem's message memory.
type storage struct {
	mem     string   // the one that is read now (mem1)
	texts   string   // where texts arrive (mem3)
	reports string   // where reports are kept, "SR" where there is one
	listed  []string // all of mem1
	used    int
	total   int
}

// slot is where a message is stored; index -1 or mem "" is nowhere.
type slot struct {
	mem   string
	index int
}

func (p slot) stored() bool { return p.mem != "" && p.index >= 0 }

var (
	memName  = regexp.MustCompile(`"([A-Za-z_]{2,5})"`)
	cpmsRead = regexp.MustCompile(`"?([A-Za-z_]{2,5})"? *, *([0-9]+) *, *([0-9]+)`)
)

// chooseStorage learns which memories there are and where texts arrive. A modem with none at all still sends.
func (s *session) chooseStorage() error {
	if out, err := s.l.query("+CPMS=?"); err == nil && len(out) > 0 {
		s.store.listed = memories(out[0])
	} else if s.fatal(err) != nil {
		return err
	}
	out, err := s.l.query("+CPMS?")
	if err != nil || len(out) == 0 {
		return s.fatal(err)
	}
	groups := cpmsRead.FindAllStringSubmatch(out[0], 3)
	if len(groups) == 0 {
		return nil
	}
	s.usage(groups[0])
	s.store.texts = groups[len(groups)-1][1] // mem3
	s.store.reports = s.store.texts
	if slices.Contains(s.store.listed, "SR") {
		s.store.reports = "SR"
	}
	return s.fatal(s.selectMemory(s.store.texts))
}

// memories lists mem1 out of `("SM","ME","SR"),("SM","ME"),("SM")` and its many relatives (quirk Q42).
func memories(listed string) []string {
	first := listed
	if i := strings.Index(listed, ")"); i >= 0 {
		first = listed[:i]
	}
	var out []string
	for _, m := range memName.FindAllStringSubmatch(first, 16) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

func (s *session) usage(group []string) {
	s.store.mem = group[1]
	used, _ := strconv.Atoi(group[2])  // digits only
	total, _ := strconv.Atoi(group[3]) // digits only
	if s.store.mem != s.store.texts && s.store.texts != "" {
		return // the gauge is about texts
	}
	s.store.used, s.store.total = used, total
	s.m.change(func(st *Status) { st.StorageUsed, st.StorageTotal = used, total })
}

// selectMemory makes mem the one that is read and deleted from.
func (s *session) selectMemory(mem string) error {
	if mem == "" || mem == s.store.mem {
		return nil
	}
	out, err := s.l.query(`+CPMS="` + mem + `"`)
	if err != nil {
		return err
	}
	s.store.mem = mem
	if len(out) > 0 {
		s.count(out[0])
	}
	return nil
}

// count reads "used,total,…" of a +CPMS that set a memory.
func (s *session) count(answer string) {
	if m := regexp.MustCompile(`^ *([0-9]+) *, *([0-9]+)`).FindStringSubmatch(answer); m != nil {
		s.usage([]string{"", s.store.mem, m[1], m[2]})
	}
}

// sweep looks how full the storage is and queues what there is to read. It is the safety net under +CMTI and +CDSI.
func (s *session) sweep(ctx context.Context) error {
	out, err := s.l.query("+CPMS?")
	if err != nil || len(out) == 0 {
		return err
	}
	groups := cpmsRead.FindAllStringSubmatch(out[0], 3)
	if len(groups) == 0 {
		return nil
	}
	s.usage(groups[0])
	if s.store.used > 0 || groups[0][1] != s.store.texts {
		s.soon(task{"list" + s.store.texts, func(ctx context.Context) error { return s.list(ctx, s.store.texts) }})
	}
	if s.caps.reports == 2 && s.store.reports != s.store.texts {
		s.soon(task{"list" + s.store.reports, func(ctx context.Context) error { return s.list(ctx, s.store.reports) }})
	}
	s.joiner.expire(time.Now(), s.crowded(), func(t joined) { _ = s.deliver(ctx, t) }) // what is not taken stays in storage
	return nil
}

// crowded says whether the storage is so full that nothing may be kept waiting in it.
func (s *session) crowded() bool { return s.store.total > 0 && s.store.used*10 >= s.store.total*8 }

var listLine = regexp.MustCompile(`^\+CMG[LR]: *([0-9]+)? *,? *([0-9]+)?`)

// listingRest is how long +CMGL is not tried again once it hung.
const listingRest = 24 * time.Hour

// list reads everything in one memory. +CMGL hangs on some modems for minutes (quirk Q44): then slot by slot from the
// next time on.
func (s *session) list(ctx context.Context, mem string) error {
	if err := s.selectMemory(mem); err != nil {
		return err
	}
	if time.Now().Before(s.m.unlisted) {
		return s.listSlots(mem)
	}
	info, err := s.l.command("+CMGL=4", 3*commandTime)
	if errors.Is(err, errTimeout) {
		s.m.unlisted = time.Now().Add(listingRest)
		return err
	}
	s.alone(func() { s.listed(ctx, mem, info) }) // or as many sends as there are reports would go before news of the modem
	return err
}

// listed takes what +CMGL has listed.
func (s *session) listed(ctx context.Context, mem string, info []string) {
	index := -1
	for _, l := range info {
		if m := listLine.FindStringSubmatch(l); m != nil {
			index, _ = strconv.Atoi(m[1]) // digits only
			continue
		}
		if isHexPDU(l) && index >= 0 {
			s.stored(ctx, slot{mem, index}, l)
			index = -1
		}
	}
}

// listSlots queues a look at each slot.
func (s *session) listSlots(mem string) error {
	for i := range min(s.store.total+1, 256) {
		s.soon(task{"fetch" + mem + strconv.Itoa(i), func(ctx context.Context) error { return s.fetch(ctx, mem, i) }})
	}
	return nil
}

// fetch reads one slot. An index that cannot be told (quirk Q32) means: look at everything. A report announced in one
// memory may lie in "SR" (quirks Q35, Q37); what is found in its place is treated as what it is.
func (s *session) fetch(ctx context.Context, mem string, index int) error {
	if index < 0 || mem == "" {
		s.soon(task{"sweep", s.sweep})
		return nil
	}
	found, err := s.read(ctx, slot{mem, index})
	if err != nil || found || s.caps.reports != 2 || mem == s.store.reports {
		return err
	}
	_, err = s.read(ctx, slot{s.store.reports, index})
	return err
}

func (s *session) read(ctx context.Context, at slot) (bool, error) {
	if err := s.selectMemory(at.mem); err != nil {
		return false, ignoreCause(err)
	}
	info, err := s.l.command("+CMGR="+strconv.Itoa(at.index), commandTime)
	if err != nil {
		return false, ignoreCause(err)
	}
	for _, l := range info {
		if isHexPDU(l) {
			s.stored(ctx, at, l)
			return true, nil
		}
	}
	return false, nil
}

// ignoreCause drops an error that the modem gave: an empty slot, a memory that it only lists.
func ignoreCause(err error) error {
	var cause *Cause
	if errors.As(err, &cause) {
		return nil
	}
	return err
}

// stored takes a PDU out of storage. It is deleted once the handler has it; what cannot be read is kept until room runs
// short (quirk Q35: never delete what was not understood).
func (s *session) stored(ctx context.Context, at slot, pdu string) {
	if s.doomed[at] == pdu {
		s.delete(at) // taken already; an indication and a sweep may both find it before it is gone
		return
	}
	s.slots[at] = pdu
	in, err := decode(pdu)
	switch {
	case err != nil:
		s.received("undecodable")
		if s.crowded() {
			s.delete(at)
		}
	case in.report != nil:
		s.report(ctx, *in.report)
		s.delete(at) // a report that was not taken is kept as a debt
	default:
		_ = s.text(ctx, at, in.deliver) // what was not taken stays where it is, for the next sweep
	}
}

// delete queues the deletion of a slot.
func (s *session) delete(at slot) {
	if !at.stored() {
		return
	}
	s.doomed[at] = s.slots[at]
	s.soon(task{"delete" + at.mem + strconv.Itoa(at.index), func(context.Context) error {
		if err := s.selectMemory(at.mem); err != nil {
			return ignoreCause(err)
		}
		_, err := s.l.command("+CMGD="+strconv.Itoa(at.index), commandTime)
		if err == nil {
			delete(s.doomed, at)
			delete(s.slots, at)
		}
		return err
	}})
}

// text joins the parts of a text and hands it on when it is whole.
func (s *session) text(ctx context.Context, at slot, t *tpdu.TPDU) error {
	whole, ok := s.joiner.add(at, t, time.Now())
	if !ok {
		return nil
	}
	return s.deliver(ctx, whole)
}

// deliver hands a text on, and frees its slots once the handler has it.
func (s *session) deliver(ctx context.Context, t joined) error {
	in := Inbound{ICCID: s.caps.iccid, From: t.from, Text: t.text, Sent: t.sent, At: time.Now()}
	s.received("text")
	ctx, cancel := context.WithTimeout(ctx, handlerPatience)
	defer cancel()
	if err := s.m.cfg.Handler.Inbound(ctx, s.m.cfg.Name, in); err != nil {
		s.m.log.Warn("inbound text not taken, offered again later", "error", err)
		return errKept
	}
	for _, at := range t.slots {
		s.delete(at)
	}
	return nil
}
