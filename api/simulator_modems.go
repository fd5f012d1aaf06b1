package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"otpost/driver/sim"
)

// SimulatedModem is one simulated modem.
type SimulatedModem struct {
	Name         string `json:"name" doc:"Its name." example:"sim0"`
	Personality  string `json:"personality" doc:"What it is like." example:"quectel-ec25"`
	Path         string `json:"path,omitempty" doc:"Its port." example:"/run/otpost/sim0.tty"`
	Number       string `json:"number" doc:"Its SIM's number." example:"+999700000001"`
	IMEI         string `json:"imei" doc:"Made from its seed." example:"004401230000012"`
	ICCID        string `json:"iccid" doc:"Made from its seed." example:"8999010000000000015"`
	Plugged      bool   `json:"plugged" doc:"It is in its port."`
	Registration int    `json:"registration" doc:"As +CREG has it: 0 none, 1 home, 2 searching, 3 denied, 5 roaming." example:"1"`
	Signal       int    `json:"signal" doc:"As +CSQ has it: 0 to 31, 99 unknown." example:"21"`
	Credit       int    `json:"credit" doc:"Texts that its SIM can pay for; -1: no limit." example:"-1"`
}

// SimulatedModems are the simulated modems.
type SimulatedModems struct {
	Modems []SimulatedModem `json:"modems" nullable:"false" doc:"All of them."`
}

// ChangeSimulatedModem changes what is given.
type ChangeSimulatedModem struct {
	Registration *int `json:"registration,omitempty" enum:"0,1,2,3,5" doc:"0 none, 1 home, 2 searching, 3 denied, 5 roaming." example:"2"`
	Signal       *int `json:"signal,omitempty" minimum:"0" maximum:"99" doc:"0 to 31, 99 unknown." example:"4"`
	Credit       *int `json:"credit,omitempty" minimum:"-1" maximum:"1000000" doc:"Texts that its SIM can pay for; -1: no limit." example:"5"`
}

func (s *simulator) modemCalls(api huma.API) {
	example := SimulatedModem{Name: "sim0", Personality: "quectel-ec25", Path: "/run/otpost/sim0.tty", Number: "+999700000001",
		IMEI: "004401230000012", ICCID: "8999010000000000015", Plugged: true, Registration: 1, Signal: 21, Credit: -1}
	simulate(api, call{id: "list-simulated-modems", method: http.MethodGet, path: "/v1/simulator/modems",
		summary: "List the simulated modems", answer: SimulatedModems{Modems: []SimulatedModem{example}}}, s.modems)
	five := 5
	simulate(api, call{id: "change-simulated-modem", method: http.MethodPatch, path: "/v1/simulator/modems/{name}",
		summary: "Change a simulated modem's registration, signal or credit", codes: []string{codeNotFound},
		example: ChangeSimulatedModem{Credit: &five}, answer: example}, s.changeModem)
}

func (s *simulator) modems(context.Context, *struct{}) (*answer[SimulatedModems], error) {
	out := SimulatedModems{Modems: []SimulatedModem{}}
	for _, m := range s.network.Modems() {
		out.Modems = append(out.Modems, simulatedModem(m))
	}
	return &answer[SimulatedModems]{out}, nil
}

func (s *simulator) changeModem(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"64" doc:"The modem's name." example:"sim0"`
	Body ChangeSimulatedModem
}) (*answer[SimulatedModem], error) {
	m := s.network.Modem(in.Name)
	if m == nil {
		return nil, sim.ErrNoModem
	}
	if v := in.Body.Registration; v != nil {
		m.SetRegistration(*v)
	}
	if v := in.Body.Signal; v != nil {
		m.SetSignal(*v)
	}
	if v := in.Body.Credit; v != nil {
		m.SetCredit(*v)
	}
	return &answer[SimulatedModem]{simulatedModem(m)}, nil
}

func simulatedModem(m *sim.Modem) SimulatedModem {
	st := m.State()
	return SimulatedModem{Name: m.Name(), Personality: st.Personality, Path: m.Path(), Number: m.Number(), IMEI: m.IMEI(),
		ICCID: m.ICCID(), Plugged: st.Plugged, Registration: st.Registration, Signal: st.Signal, Credit: st.Credit}
}
