package driver

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrCommand is wrapped by the refusal of a command that could send, lock or silence a modem.
var ErrCommand = errors.New("command not allowed here")

var (
	atCommand = regexp.MustCompile(`^AT[ -~]{0,200}$`)
	// What starts a message or a call, touches the SIM's PIN, or changes how the driver and the modem talk.
	atRefused = regexp.MustCompile(`(\+CMG[SWC]\b|\+CMSS\b|\+CPIN *=|\+CPWD|\+CLCK *=|\+CMGF *=|\+CNMI *=|\+IPR *=|\+CMUX|\+CUSD|^AT *[DAEQV&ZO]|\^RESET|\+EGMR)`)
)

// AT runs one command of an operator's, such as AT+CSQ, between two sends, and returns the modem's lines, the last being
// the result. What could send, lock a SIM or upset the line is refused.
func (m *Modem) AT(ctx context.Context, command string) ([]string, error) {
	command = strings.Trim(command, " ")
	upper := strings.ToUpper(command)
	switch {
	case !atCommand.MatchString(upper):
		return nil, fmt.Errorf("%w: it starts with AT and is one line of ASCII", ErrCommand)
	case atRefused.MatchString(upper):
		return nil, fmt.Errorf("%w: it could send, lock the SIM or upset the line; stop the daemon to give it by hand", ErrCommand)
	}
	var lines []string
	_, err := m.ask(ctx, func(s *session) (string, error) {
		info, err := s.l.command(command[2:], 2*commandTime)
		lines = info
		return "", err
	})
	var cause *Cause
	switch {
	case errors.As(err, &cause):
		return append(lines, cause.Code), nil
	case err != nil:
		return nil, err
	}
	return append(lines, "OK"), nil
}
