package console

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"otpost/api/wire"
)

func modems(q *request) error {
	all, err := q.api.Modems(q.Context())
	if err != nil {
		return err
	}
	return q.show("modems", q.console.words.text("modems.title"), all.Modems)
}

// modemPage is one modem.
type modemPage struct {
	wire.Modem
	Path    string
	Steps   []resetStep
	Traced  bool
	Trace   []wire.TraceLine
	Dialled bool
	Answer  string // of the network to a USSD code
}

// resetStep is how often a step of the recovery was taken.
type resetStep struct {
	Name  string
	Count uint64
}

// modem shows one; the exchange with it only when that is asked for.
func modem(q *request) error {
	p, err := q.modem()
	if err != nil {
		return err
	}
	if p.Traced = q.URL.Query().Get("trace") != ""; p.Traced {
		t, err := q.api.TraceModem(q.Context(), p.Name)
		if err != nil {
			return err
		}
		p.Trace = t.Lines
		slices.Reverse(p.Trace)
	}
	return q.show("modem", p.Name, p)
}

func (q *request) modem() (modemPage, error) {
	m, err := q.api.Modem(q.Context(), q.PathValue("name"))
	if err != nil {
		return modemPage{}, err
	}
	p := modemPage{Modem: *m, Path: modemPath(m.Name)}
	for _, name := range slices.Sorted(maps.Keys(m.Resets)) {
		if m.Resets[name] > 0 {
			p.Steps = append(p.Steps, resetStep{name, m.Resets[name]})
		}
	}
	return p, nil
}

func modemPath(name string) string { return Base + "modems/" + url.PathEscape(name) }

func pauseModem(q *request) error {
	name := q.PathValue("name")
	_, err := q.api.PauseModem(q.Context(), name)
	return q.done(err, modemPath(name), "modems.was_paused", name)
}

func resumeModem(q *request) error {
	name := q.PathValue("name")
	_, err := q.api.ResumeModem(q.Context(), name)
	return q.done(err, modemPath(name), "modems.was_resumed", name)
}

// resetModem may take minutes; the API extends the answer's deadline.
func resetModem(q *request) error {
	name := q.PathValue("name")
	_, err := q.api.ResetModem(q.once(), name)
	return q.done(err, modemPath(name), "modems.was_reset", name)
}

// dialUSSD shows the network's answer on the modem's page, this once.
func dialUSSD(q *request) error {
	name := q.PathValue("name")
	answer, err := q.api.DialUSSD(q.once(), name, strings.TrimSpace(q.PostFormValue("code")))
	if err != nil {
		return q.done(err, modemPath(name), "modems.title")
	}
	p, err := q.modem()
	if err != nil {
		return err
	}
	p.Dialled, p.Answer = true, answer
	return q.show("modem", p.Name, p)
}

// modemState is what matters most of a modem's state.
func (c *catalogue) modemState(m wire.Modem) badge {
	state := m.State
	switch {
	case m.Paused:
		state = "paused"
	case m.Quarantined != "":
		state = "quarantined"
	}
	return badge{tone("modem", state), c.label("modem", state)}
}

// signal tells a strength in a word.
func (c *catalogue) signal(dbm int) string {
	switch {
	case dbm == 0:
		return c.text("signal.unknown")
	case dbm >= -75:
		return c.text("signal.strong", dbm)
	case dbm >= -90:
		return c.text("signal.good", dbm)
	case dbm >= weakSignal:
		return c.text("signal.fair", dbm)
	}
	return c.text("signal.weak", dbm)
}
