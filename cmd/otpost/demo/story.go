// Package demo plays the main job on a terminal: a client of a portal turns SMS security codes on, uses them, and turns
// them off, with real requests to a real daemon whose modem is simulated.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"otpost/driver/sim"
)

// The people of the story. The number is of Ofcom's range for drama, which reaches nobody.
const (
	Account = "client-4711"
	Phone   = "+447700900123"
	PIN     = "739154"
)

// Story is one telling. Its fields are its inputs.
type Story struct {
	Out     io.Writer
	Base    string       // the daemon's address, "http://127.0.0.1:8475"
	Token   string       // an API key with the scope portal
	Network *sim.Network // where the phones are
	Wire    *Wire        // what the simulated modem heard and said
	Began   time.Time    // when the process started

	step int
	last time.Time // of the newest text read
}

// phoneWait is how long a step waits for the phone to show a text.
const phoneWait = 15 * time.Second

// Tell plays every step in turn; the error says which one did not hold.
func (s *Story) Tell(ctx context.Context) error {
	for _, chapter := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"Settings → Authentication Methods → SMS → Enable", s.enable},
		{"A withdrawal: PIN first, then the code", s.withdraw},
		{"Settings → Authentication Methods → SMS → Disable", s.disable},
	} {
		s.print("\n%s\n", chapter.title)
		if err := chapter.play(ctx); err != nil {
			return fmt.Errorf("step %d, %s: %w", s.step, chapter.title, err)
		}
	}
	return nil
}

func (s *Story) enable(ctx context.Context) error {
	path := "/v1/accounts/" + Account
	if err := s.call(ctx, "the portal sets the account's PIN", "PUT", path+"/pin", fields{"pin": PIN}, 204, nil); err != nil {
		return err
	}
	if err := s.call(ctx, "Enable: phone "+Phone+", Send", "POST", path+"/sms/enable", fields{"phone": Phone}, 202, nil); err != nil {
		return err
	}
	code, err := s.phone(ctx)
	if err != nil {
		return err
	}
	s.print("      the first code, %.1f s after the process started; what the modem heard (>>) and said (<<):\n", time.Since(s.Began).Seconds())
	exchange, err := s.Wire.Submit(ctx)
	if err != nil {
		return err
	}
	for _, line := range exchange {
		s.print("        %s\n", line)
	}
	wrong := fields{"code": other(code), "pin": PIN}
	if err := s.refused(ctx, "a wrong code is refused", path+"/sms/enable/verify", wrong, 422, "verification-failed"); err != nil {
		return err
	}
	var account accountAnswer
	if err := s.call(ctx, "the code and the PIN, Verify", "POST", path+"/sms/enable/verify", fields{"code": code, "pin": PIN}, 200, &account); err != nil {
		return err
	}
	return s.holds(account.Grade == 1 && account.Identities.SMS.Status == "enabled", "SMS codes are on and the account has Grade 1")
}

func (s *Story) withdraw(ctx context.Context) error {
	payment := fields{"amount": "250.00", "currency": "EUR", "payee": "IE29AIBK93115212345678"}
	order := fields{"account": Account, "purpose": "withdrawal", "pin": PIN, "transaction": payment}
	var challenge struct{ ID, Status string }
	if err := s.call(ctx, "the PIN and the payment, Send", "POST", "/v1/challenges", order, 202, &challenge); err != nil {
		return err
	}
	code, err := s.phone(ctx)
	if err != nil {
		return err
	}
	changed := fields{"amount": "9250.00", "currency": "EUR", "payee": "IE29AIBK93115212345678"}
	verify := "/v1/challenges/" + challenge.ID + "/verify"
	err = s.refused(ctx, "the right code for another amount is refused", verify, fields{"code": code, "transaction": changed}, 422, "verification-failed")
	if err != nil {
		return err
	}
	if err := s.call(ctx, "the code, Verify", "POST", verify, fields{"code": code, "transaction": payment}, 200, &challenge); err != nil {
		return err
	}
	if err := s.holds(challenge.Status == "verified", "the withdrawal is confirmed"); err != nil {
		return err
	}
	return s.refused(ctx, "the same code once more is refused", verify, fields{"code": code, "transaction": payment}, 410, "challenge-over")
}

func (s *Story) disable(ctx context.Context) error {
	path := "/v1/accounts/" + Account
	if err := s.call(ctx, "Disable, Send", "POST", path+"/sms/disable", fields{}, 202, nil); err != nil {
		return err
	}
	code, err := s.phone(ctx)
	if err != nil {
		return err
	}
	var account accountAnswer
	if err := s.call(ctx, "the code, Verify", "POST", path+"/sms/disable/verify", fields{"code": code}, 200, &account); err != nil {
		return err
	}
	return s.holds(account.Identities.SMS.Status == "disabled" && account.Grade == 1, "SMS codes are off; the grade stays")
}

type fields map[string]any

type accountAnswer struct {
	Grade      int
	Identities struct{ SMS struct{ Status string } }
}

// call makes one request, prints it, and fails unless the answer has the status want.
func (s *Story) call(ctx context.Context, what, method, path string, body fields, want int, answer any) error {
	status, problem, err := s.request(ctx, method, path, body, answer)
	if err != nil {
		return err
	}
	s.line(what, method, path, status, problem)
	if status != want {
		return fmt.Errorf("%s %s answered %d %s, not %d", method, path, status, problem, want)
	}
	return nil
}

// refused makes a request that must be refused with the status and the problem code given.
func (s *Story) refused(ctx context.Context, what, path string, body fields, status int, code string) error {
	got, problem, err := s.request(ctx, http.MethodPost, path, body, nil)
	if err != nil {
		return err
	}
	s.line(what, http.MethodPost, path, got, problem)
	if got != status || problem != code {
		return fmt.Errorf("POST %s answered %d %s, not %d %s", path, got, problem, status, code)
	}
	return nil
}

// phone waits for the next text on the phone, prints it, and returns the code in it.
func (s *Story) phone(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, phoneWait)
	defer cancel()
	texts, err := s.Network.Wait(ctx, sim.Filter{To: Phone, After: s.last})
	if err != nil {
		return "", fmt.Errorf("wait for the text on the phone: %w", err)
	}
	if len(texts) == 0 || texts[0].Code == "" {
		return "", errors.New("the phone shows no code")
	}
	s.last = texts[0].ReceivedAt
	s.step++
	s.print("%4d  the phone %s shows: %s\n", s.step, Phone, strings.ReplaceAll(texts[0].Text, "\n", " ⏎ "))
	return texts[0].Code, nil
}

func (s *Story) holds(ok bool, what string) error {
	if !ok {
		return fmt.Errorf("it does not hold that %s", what)
	}
	s.print("      → %s\n", what)
	return nil
}

func (s *Story) line(what, method, path string, status int, problem string) {
	s.step++
	s.print("%4d  %-46s %-4s %-41s → %d %s\n", s.step, what, method, briefly(path), status, problem)
}

// briefly writes {id} for a challenge's id.
func briefly(path string) string {
	steps := strings.Split(path, "/")
	if len(steps) > 3 && steps[2] == "challenges" {
		steps[3] = "{id}"
	}
	return strings.Join(steps, "/")
}

func (s *Story) print(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Out, format, args...) // a terminal that is gone must not stop the story's requests
}

// other is a code of the same length that is not code.
func other(code string) string {
	first := byte('0' + (code[0]-'0'+1)%10)
	return string(first) + code[1:]
}
