package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"otpost/driver/sim"
)

// SimulatedFault is one thing that goes wrong in the simulation.
type SimulatedFault struct {
	Kind        string  `json:"kind" enum:"silence,garbage,echo,loopback,urc-flood,boot-loop,stuck-prompt,pin,slow-bytes,storage-full,lost-port,partial-line,no-network,cms,error,lost-result,late-result,bare-ok,wrong-reference,slow,delay,lose,no-report,late-report,duplicate-report,failed-report" doc:"What goes wrong." example:"cms"`
	Modem       string  `json:"modem,omitempty" maxLength:"64" doc:"Only this modem; absent: all." example:"sim0"`
	To          string  `json:"to,omitempty" maxLength:"20" pattern:"^[+]?[0-9]*$" patternDescription:"digits" doc:"Only recipients whose number ends so." example:"0123"`
	At          string  `json:"at,omitempty" enum:"now,before-prompt,after-submit,after-accept,mid-line" doc:"Where it strikes: at once, or at a point of a send (instead of the prompt; after Ctrl-Z; when the network has it, before the answer; in the middle of the answer). Absent: by kind."`
	After       string  `json:"after,omitempty" maxLength:"12" pattern:"^([0-9.]+(ms|s|m|h))+$" patternDescription:"a duration such as 5s" doc:"Begins so much later." example:"5s"`
	For         string  `json:"for,omitempty" maxLength:"12" pattern:"^([0-9.]+(ms|s|m|h))+$" patternDescription:"a duration such as 30s" doc:"How long it lasts; absent: until it is deleted, and 5s for one that strikes a send." example:"30s"`
	Sends       int     `json:"sends,omitempty" minimum:"0" maximum:"1000000" doc:"How many sends it strikes; absent: no limit." example:"1"`
	Probability float64 `json:"probability,omitempty" minimum:"0" maximum:"1" doc:"Of striking a send, seeded; absent: always." example:"0.5"`
	Delay       string  `json:"delay,omitempty" maxLength:"12" pattern:"^([0-9.]+(ms|s|m|h))+$" patternDescription:"a duration such as 10s" doc:"For slow, delay, late-result, late-report and slow-bytes." example:"10s"`
	Cause       int     `json:"cause,omitempty" minimum:"1" maximum:"999" doc:"For cms: the cause of +CMS ERROR; absent: 38." example:"38"`
	Status      int     `json:"status,omitempty" minimum:"32" maximum:"255" doc:"For failed-report: TP-ST (3GPP TS 23.040 9.2.3.15); absent: 70." example:"70"`
}

// SimulatedFaultState is a fault that was ordered, and how far it got.
type SimulatedFaultState struct {
	SimulatedFault
	ID     string    `json:"id" doc:"Its id." example:"fault-1"`
	Active bool      `json:"active" doc:"It has begun and is not over."`
	Hits   int       `json:"hits" doc:"How many sends it struck."`
	Left   int       `json:"left" doc:"How many more it will strike; -1: no limit."`
	Until  time.Time `json:"until,omitzero" doc:"When it is over; absent: no end."`
}

// SimulatedFaults are the faults that are not over.
type SimulatedFaults struct {
	Faults []SimulatedFaultState `json:"faults" nullable:"false" doc:"Oldest first."`
}

// FaultPath is the fault in a path.
type FaultPath struct {
	ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_.-]{1,64}$" patternDescription:"a fault's id" doc:"The fault's id; of your choice." example:"carrier-down"`
}

func (s *simulator) faultCalls(api huma.API) {
	example := SimulatedFaultState{ID: "carrier-down", SimulatedFault: SimulatedFault{Kind: "cms", At: "after-submit", Cause: 38}, Active: true, Left: 3}
	about := "Beside these, a recipient's last five digits order a fault, so that tests need no other call: 99ccc is refused with CMS cause ccc; " +
		"98001 slow (10 s), 98002 never reported, 98003 reported as not delivered, 98004 no answer from the modem, 98005 reported twice, " +
		"98006 arrives 30 s late, 98007 reported late, 98008 answered 30 s late, 98009 the port hangs up for 5 s, 98010 lost."
	simulate(api, call{id: "list-simulated-faults", method: http.MethodGet, path: "/v1/simulator/faults", about: about,
		summary: "List the faults", answer: SimulatedFaults{Faults: []SimulatedFaultState{example}}}, s.faults)
	simulate(api, call{id: "add-simulated-fault", method: http.MethodPost, path: "/v1/simulator/faults", status: http.StatusCreated,
		summary: "Order a fault", example: SimulatedFault{Kind: "cms", Cause: 38, Sends: 3}, answer: example}, s.addFault)
	simulate(api, call{id: "put-simulated-fault", method: http.MethodPut, path: "/v1/simulator/faults/{id}",
		summary: "Order a fault under an id, or replace it", example: SimulatedFault{Kind: "silence", For: "30s"}, answer: example}, s.putFault)
	simulate(api, call{id: "delete-simulated-fault", method: http.MethodDelete, path: "/v1/simulator/faults/{id}", status: http.StatusNoContent,
		summary: "End a fault", codes: []string{codeNotFound}}, s.deleteFault)
	simulate(api, call{id: "clear-simulated-faults", method: http.MethodDelete, path: "/v1/simulator/faults", status: http.StatusNoContent,
		summary: "End all faults"}, s.clearFaults)
}

func (s *simulator) faults(context.Context, *struct{}) (*answer[SimulatedFaults], error) {
	out := SimulatedFaults{Faults: []SimulatedFaultState{}}
	for _, f := range s.network.Faults() {
		out.Faults = append(out.Faults, faultState(f))
	}
	return &answer[SimulatedFaults]{out}, nil
}

func (s *simulator) addFault(_ context.Context, in *struct{ Body SimulatedFault }) (*answer[SimulatedFaultState], error) {
	return s.order("", in.Body)
}

func (s *simulator) putFault(_ context.Context, in *struct {
	FaultPath
	Body SimulatedFault
}) (*answer[SimulatedFaultState], error) {
	return s.order(in.ID, in.Body)
}

func (s *simulator) order(id string, b SimulatedFault) (*answer[SimulatedFaultState], error) {
	f := sim.Fault{ID: id, Kind: sim.Kind(b.Kind), Modem: b.Modem, To: b.To, At: sim.Point(b.At), Sends: b.Sends,
		Probability: b.Probability, Cause: b.Cause, Status: b.Status}
	for _, d := range []struct {
		text string
		to   *time.Duration
	}{{b.After, &f.After}, {b.For, &f.For}, {b.Delay, &f.Delay}} {
		if d.text == "" {
			continue
		}
		v, err := time.ParseDuration(d.text)
		if err != nil {
			return nil, problem(codeInvalidRequest, "after, for and delay are durations such as 30s")
		}
		*d.to = v
	}
	state, err := s.network.AddFault(f)
	if err != nil {
		return nil, err
	}
	return &answer[SimulatedFaultState]{faultState(state)}, nil
}

func (s *simulator) deleteFault(_ context.Context, in *FaultPath) (*struct{}, error) {
	return nil, s.network.RemoveFault(in.ID)
}

func (s *simulator) clearFaults(context.Context, *struct{}) (*struct{}, error) {
	s.network.ClearFaults()
	return nil, nil
}

func faultState(f sim.FaultState) SimulatedFaultState {
	at := string(f.At)
	if f.At == sim.InNetwork {
		at = "" // the network's kinds have no point
	}
	return SimulatedFaultState{ID: f.ID, Active: f.Active, Hits: f.Hits, Left: f.Left, Until: f.Until, SimulatedFault: SimulatedFault{
		Kind: string(f.Kind), Modem: f.Modem, To: f.To, At: at, After: spell(f.After), For: spell(f.For), Sends: f.Sends,
		Probability: f.Probability, Delay: spell(f.Delay), Cause: f.Cause, Status: f.Status}}
}

// spell writes a duration, and nothing for none.
func spell(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
