package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/mux"

	"otpost/api/wire"
	"otpost/driver/sim"
)

// maxSimulatorWait bounds a long poll.
const maxSimulatorWait = 60 * time.Second

// simulator answers the calls about a simulated network.
type simulator struct {
	network *sim.Network
	drain   context.Context // done once long answers should end
}

// RegisterSimulator adds the simulator's calls to an API: what the simulated phones got, texts from them, faults. They
// show codes in clear, so they must only be added where the modems are simulated; no real one ever feeds them.
func RegisterSimulator(api huma.API, n *sim.Network) {
	registerSimulator(api, n, context.Background())
}

// registerSimulator is RegisterSimulator for a server that drains.
func registerSimulator(api huma.API, n *sim.Network, drain context.Context) {
	s := &simulator{network: n, drain: drain}
	s.messageCalls(api)
	s.faultCalls(api)
	s.modemCalls(api)
}

// NewSimulator serves the simulator's calls alone, without keys, as `otpost sim --http` does on loopback. It answers only
// requests that name this machine as their host: a page of another site cannot reach it under a name of its own.
func NewSimulator(n *sim.Network, version string) http.Handler {
	r := mux.NewRouter()
	api := newHuma(r, version)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		ctx.SetHeader("Cache-Control", "no-store")
		next(ctx)
	})
	RegisterSimulator(api, n)
	r.HandleFunc("/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		b, err := api.OpenAPI().MarshalJSON()
		if err != nil {
			writeProblem(w, r, problem(codeInternal, "the document cannot be written"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // a client that is gone needs no answer
	}).Methods(http.MethodGet)
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem(codeNotFound, "there is no such call"))
	})
	r.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem(codeMethodNotAllowed, "the call has other methods"))
	})
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem(codeForbidden, "requests from other sites' pages are refused"))
	}))
	return loopbackHost(csrf.Handler(r))
}

// loopbackHost lets in what asks for localhost or a loopback address.
func loopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && (err != nil || !ip.IsLoopback()) {
			writeProblem(w, r, problem(codeForbidden, "the simulator is reached as localhost only"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// simulate adds one of the simulator's calls.
func simulate[I, O any](api huma.API, c call, h func(context.Context, *I) (*O, error)) {
	c.tag, c.may = "simulator", []Scope{ScopePortal, ScopeMessages, ScopeOps}
	huma.Register(api, c.operation(), func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, simulatorProblem(err)
		}
		return out, nil
	})
}

// simulatorProblem maps the simulator's errors; what it says of a fault holds nothing but the caller's own words.
func simulatorProblem(err error) *wire.Problem {
	var known *wire.Problem
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, sim.ErrNoFault):
		return problem(codeNotFound, "there is no such fault")
	case errors.Is(err, sim.ErrNoModem):
		return problem(codeNotFound, "no simulated modem has that name or number")
	case errors.Is(err, sim.ErrBadFault), errors.Is(err, sim.ErrBadText):
		return problem(codeInvalidRequest, err.Error())
	}
	return problem(codeInternal, "the simulator failed")
}

// SimulatorFilter chooses messages on simulated phones.
type SimulatorFilter struct {
	To      string    `query:"to" maxLength:"20" pattern:"^([+ ]?[0-9*#]{1,19})?$" patternDescription:"a phone number" doc:"Only this phone's. A plus sign is written %2B in a query; a space in its place is taken for it." example:"+447700900123"`
	After   time.Time `query:"after" doc:"Only what came later than this."`
	AfterID uint64    `query:"after_id" doc:"Only what came after this message."`
}

func (f SimulatorFilter) filter() sim.Filter {
	to := f.To
	if to != "" && to[0] == ' ' {
		to = "+" + to[1:]
	}
	return sim.Filter{To: to, After: f.After, AfterID: f.AfterID}
}

// SimulatedMessage is a text on a simulated phone, with the id to go on after.
type SimulatedMessage struct {
	wire.SimulatedMessage
	ID    uint64 `json:"id" doc:"Counts up; for after_id." example:"7"`
	Modem string `json:"modem" doc:"The modem that sent it." example:"sim0"`
	Flash bool   `json:"flash,omitempty" doc:"It is shown at once and not kept (class 0)."`
}

// SimulatedMessages are texts on simulated phones.
type SimulatedMessages struct {
	Messages []SimulatedMessage `json:"messages" nullable:"false" doc:"Newest first."`
}

// SimulatedPhones are the simulated phones that got a text.
type SimulatedPhones struct {
	Phones []sim.Phone `json:"phones" nullable:"false" doc:"The one with the newest text first."`
}

// SimulatedText is a text from a simulated phone to a modem.
type SimulatedText struct {
	From string `json:"from" minLength:"1" maxLength:"20" doc:"The phone's number, or a name such as a bank's." example:"+447700900456"`
	To   string `json:"to,omitempty" maxLength:"64" doc:"The modem's name or number; may be left out when there is only one." example:"sim0"`
	Text string `json:"text" minLength:"1" maxLength:"10000" doc:"What it says; long texts are sent in parts." example:"STOP"`
}

// Deleted says how much is gone.
type Deleted struct {
	Deleted int `json:"deleted" doc:"How many." example:"3"`
}

func (s *simulator) messageCalls(api huma.API) {
	example := SimulatedMessages{Messages: []SimulatedMessage{{ID: 7, Modem: "sim0", SimulatedMessage: wire.SimulatedMessage{
		To: "+447700900123", From: "+999700000001", Text: "Your code to turn on SMS security codes: 123456. Valid 5 min. Never share it.",
		Code: "123456", Parts: 1, ReceivedAt: exampleTime(0)}}}}
	simulate(api, call{id: "list-simulated-messages", method: http.MethodGet, path: "/v1/simulator/messages", answer: example,
		summary: "Read what the simulated phones got",
		about:   "Newest first. With `wait` the answer is held until there is a text that fits, or the time is over: no polling. A phone keeps 500 texts for 24 hours."}, s.messages)
	simulate(api, call{id: "delete-simulated-messages", method: http.MethodDelete, path: "/v1/simulator/messages",
		summary: "Delete texts from simulated phones", answer: Deleted{Deleted: 3}}, s.deleteMessages)
	simulate(api, call{id: "list-simulated-phones", method: http.MethodGet, path: "/v1/simulator/phones",
		summary: "List the simulated phones", about: "A phone exists once it was texted.",
		answer: SimulatedPhones{Phones: []sim.Phone{{Number: "+447700900123", Messages: 2, LastAt: exampleTime(0)}}}}, s.phones)
	simulate(api, call{id: "send-simulated-text", method: http.MethodPost, path: "/v1/simulator/texts", status: http.StatusNoContent,
		summary: "Send a text from a simulated phone to a modem", codes: []string{codeNotFound},
		example: SimulatedText{From: "+447700900456", Text: "STOP"}}, s.text)
}

func (s *simulator) messages(ctx context.Context, in *struct {
	SimulatorFilter
	Wait  string `query:"wait" maxLength:"8" pattern:"^([0-9]{1,5}(ms|s|m)?)?$" patternDescription:"a duration such as 30s" doc:"Hold the answer until there is a text, for so long at most; up to 60s." example:"30s"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"How many at most."`
}) (*answer[SimulatedMessages], error) {
	f := in.filter()
	f.Limit = in.Limit
	wait, err := waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	found := s.network.Messages(f)
	if len(found) == 0 && wait > 0 {
		found = s.wait(ctx, f, wait)
	}
	out := SimulatedMessages{Messages: []SimulatedMessage{}}
	for _, m := range found {
		out.Messages = append(out.Messages, SimulatedMessage{ID: m.ID, Modem: m.Modem, Flash: m.Flash, SimulatedMessage: wire.SimulatedMessage{
			To: m.To, From: m.From, Text: m.Text, Code: m.Code, Parts: m.Parts, ReceivedAt: m.ReceivedAt}})
	}
	return &answer[SimulatedMessages]{out}, nil
}

// waitOf reads how long to wait; a bare number is seconds.
func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if c := text[len(text)-1]; c >= '0' && c <= '9' {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, problem(codeInvalidRequest, "wait is a duration such as 30s")
	}
	return min(d, maxSimulatorWait), nil
}

// wait holds the answer until a text comes, the time is over, the caller goes or the server drains.
func (s *simulator) wait(ctx context.Context, f sim.Filter, d time.Duration) []sim.Message {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	defer context.AfterFunc(s.drain, cancel)()
	found, err := s.network.Wait(ctx, f)
	if err != nil {
		return nil // the time is over: nothing came
	}
	return found
}

func (s *simulator) deleteMessages(_ context.Context, in *struct{ SimulatorFilter }) (*answer[Deleted], error) {
	return &answer[Deleted]{Deleted{Deleted: s.network.Delete(in.filter())}}, nil
}

func (s *simulator) phones(context.Context, *struct{}) (*answer[SimulatedPhones], error) {
	return &answer[SimulatedPhones]{SimulatedPhones{Phones: s.network.Phones()}}, nil
}

func (s *simulator) text(_ context.Context, in *struct{ Body SimulatedText }) (*struct{}, error) {
	return nil, s.network.Text(in.Body.From, in.Body.To, in.Body.Text)
}
