package console

import (
	"context"
	"maps"
	"net/http"
	"time"

	"otpost/api/client"
)

// simulationRoutes are the paths of the pages about the simulation.
func simulationRoutes() []route {
	ops := []string{scopeOps}
	return []route{
		{method: "GET", path: "phones", nav: "phones", may: ops, simulated: true, serve: phones},
		{method: "POST", path: "phones/text", nav: "phones", may: ops, simulated: true, serve: writeText},
		{method: "POST", path: "phones/empty", nav: "phones", may: ops, simulated: true, serve: emptyPhone},
		{method: "POST", path: "phones/faults", nav: "phones", may: ops, simulated: true, serve: orderFault},
		{method: "POST", path: "phones/faults/end", nav: "phones", may: ops, simulated: true, serve: endFault},
		{method: "GET", path: "try", nav: "tryit", may: ops, simulated: true, serve: tryIt},
		{method: "POST", path: "try/account", nav: "tryit", may: ops, simulated: true, serve: tryAccount},
		{method: "POST", path: "try/pin", nav: "tryit", may: ops, simulated: true, serve: tryPIN},
		{method: "POST", path: "try/enable", nav: "tryit", may: ops, simulated: true, serve: tryEnable},
		{method: "POST", path: "try/enable/verify", nav: "tryit", may: ops, simulated: true, serve: tryEnableVerify},
		{method: "POST", path: "try/disable", nav: "tryit", may: ops, simulated: true, serve: tryDisable},
		{method: "POST", path: "try/disable/verify", nav: "tryit", may: ops, simulated: true, serve: tryDisableVerify},
		{method: "POST", path: "try/withdrawal", nav: "tryit", may: ops, simulated: true, serve: tryWithdraw},
		{method: "POST", path: "try/withdrawal/verify", nav: "tryit", may: ops, simulated: true, serve: tryWithdrawVerify},
		{method: "POST", path: "try/resend", nav: "tryit", may: ops, simulated: true, serve: tryResend},
	}
}

// pageState is what the pages about the simulation remember of a visitor. It is under its session's mu.
type pageState struct {
	read  map[string]uint64 // by phone, the newest text that was seen
	trial *trial
}

// maxRead bounds how many phones a session remembers.
const maxRead = 10_000

// readTo notes that a phone's texts have been seen up to one.
func (s *session) readTo(number string, id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages.read == nil || len(s.pages.read) >= maxRead {
		s.pages.read = map[string]uint64{}
	}
	s.pages.read[number] = max(id, s.pages.read[number])
}

// readBy returns by phone what has been seen.
func (s *session) readBy() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pages.read)
}

// trial returns the visitor's, which begins when it is first asked for.
func (s *session) trial() trial {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages.trial == nil {
		t := newTrial()
		s.pages.trial = &t
	}
	return *s.pages.trial
}

func (s *session) keep(t trial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages.trial = &t
}

// phonesPatience is how long one look for new texts waits.
const phonesPatience = 20 * time.Second

// watchPhones tells when a simulated phone gets a text: it may come long after the send that was its event, or be all there is to
// see of a send whose answer is lost. It ends with ctx, or when the reader may not look.
func (c *Console) watchPhones(ctx context.Context, s *session, r *http.Request, out *narrator) {
	api, err := client.New(client.Options{Address: "http://console", Key: string(s.key), UserAgent: "otpost-console", Timeout: 2 * phonesPatience,
		Transport: inside{api: c.cfg.API, outer: r, w: alone{}}})
	if err != nil {
		return
	}
	look := simulator{api}
	newest, err := look.texts(ctx, "", 1)
	for err == nil && ctx.Err() == nil { // a call whose caller is gone is answered at once, and not with an error
		var after uint64
		if len(newest) > 0 {
			after = newest[0].ID
		}
		var got []simText
		if got, err = look.wait(ctx, after, phonesPatience); err == nil && len(got) > 0 {
			newest, err = got, out.tell("simulator.text")
		}
	}
}

// alone is the place of a connection that a call shall not reach.
type alone struct{}

// Header implements http.ResponseWriter.
func (alone) Header() http.Header { return http.Header{} }

// WriteHeader implements http.ResponseWriter.
func (alone) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (alone) Write(b []byte) (int, error) { return len(b), nil }
