package otp

import (
	"regexp"
	"strings"
)

const operationPrefix = "operation:"

var (
	slugPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	accountPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$`)
)

// wellFormed tells whether p is built in or an operation with a proper slug.
func (p Purpose) wellFormed() bool {
	switch p {
	case SMSEnable, SMSDisable, Login, Withdrawal:
		return true
	}
	slug, ok := strings.CutPrefix(string(p), operationPrefix)
	return ok && slugPattern.MatchString(slug)
}

// label is p for metrics: all operations are one.
func (p Purpose) label() string {
	if strings.HasPrefix(string(p), operationPrefix) {
		return "operation"
	}
	return string(p)
}

func checkAccount(account string) error {
	if !accountPattern.MatchString(account) {
		return refuse(InvalidRequest, "an account id is a letter or digit and up to 127 more of letters, digits and ._:@-")
	}
	return nil
}
