package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/api/wire"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/otp"
)

// The table of DESIGN 7, written out once more: code to status.
var designCodes = map[string]int{
	"invalid-request": 400, "unauthenticated": 401, "forbidden": 403, "country-not-allowed": 403, "number-not-allowed": 403,
	"not-found": 404, "sms-already-enabled": 409, "sms-not-enabled": 409, "pin-not-set": 409, "idempotency-in-flight": 409,
	"challenge-over": 410, "verification-failed": 422, "invalid-phone": 422, "weak-pin": 422, "idempotency-mismatch": 422,
	"rate-limited": 429, "blocked": 429, "resend-too-early": 429, "no-capacity": 503, "no-modem": 503, "storage-low": 507,
}

func TestProblemKinds(t *testing.T) {
	got := map[string]int{}
	for _, k := range kinds {
		if _, twice := got[k.code]; twice {
			t.Errorf("%s is in the table twice", k.code)
		}
		if k.title == "" || k.means == "" || k.remedy == "" {
			t.Errorf("%s explains nothing", k.code)
		}
		got[k.code] = k.status
	}
	for code, status := range designCodes {
		if got[code] != status {
			t.Errorf("%s is %d, want %d", code, got[code], status)
		}
	}
}

func TestProblemOf(t *testing.T) {
	k := newKit(t)
	left := 3
	tests := []struct {
		name string
		err  error
		want wire.Problem
	}{
		{"limit", &otp.Error{Code: otp.RateLimited, Detail: "d", Limit: "phone-hour", RetryAfter: 1500 * time.Millisecond},
			wire.Problem{Status: 429, Code: "rate-limited", Detail: "d", Limit: "phone-hour", RetryAfter: 2}},
		{"blocked", &otp.Error{Code: otp.Blocked, RetryAfter: 15 * time.Minute}, wire.Problem{Status: 429, Code: "blocked", RetryAfter: 900}},
		{"early, with less than a second to go", &otp.Error{Code: otp.ResendTooEarly}, wire.Problem{Status: 429, Code: "resend-too-early", RetryAfter: 1}},
		{"wrong", &otp.Error{Code: otp.VerificationFailed, AttemptsLeft: &left}, wire.Problem{Status: 422, Code: "verification-failed", AttemptsLeft: &left}},
		{"over", &otp.Error{Code: otp.ChallengeOver, Status: otp.ExpiredOut}, wire.Problem{Status: 410, Code: "challenge-over", ChallengeStatus: "expired"}},
		{"wrapped", fmt.Errorf("x: %w", &otp.Error{Code: otp.WeakPIN}), wire.Problem{Status: 422, Code: "weak-pin"}},
		{"capacity", &gateway.CapacityError{RetryAfter: time.Minute}, wire.Problem{Status: 503, Code: "no-capacity", RetryAfter: 60, Detail: "the queue is too long for the message to arrive in time"}},
		{"no modem", &gateway.CapacityError{NoModem: true}, wire.Problem{Status: 503, Code: "no-modem", RetryAfter: 1, Detail: "no modem can take the message now"}},
		{"disk", fmt.Errorf("x: %w", gateway.ErrStorageLow), wire.Problem{Status: 507, Code: "storage-low", Detail: "free disk space is below the reserve; sending is off until there is room"}},
		{"disk full", store.ErrFull, wire.Problem{Status: 507, Code: "storage-low", Detail: "free disk space is below the reserve; sending is off until there is room"}},
		{"no message", gateway.ErrNotFound, wire.Problem{Status: 404, Code: "not-found", Detail: "there is no such message"}},
		{"late", gateway.ErrTooLate, wire.Problem{Status: 409, Code: "too-late", Detail: "the message is with a modem already, or has ended"}},
		{"store", fmt.Errorf("canary-detail: %w", store.ErrUnknown), wire.Problem{Status: 503, Code: "unavailable", RetryAfter: 5, Detail: "the store cannot answer now; the daemon's log says why"}},
		{"rot", &store.CorruptError{Key: "canary-key", Err: errors.New("canary-detail")}, wire.Problem{Status: 503, Code: "unavailable", RetryAfter: 5, Detail: "the store cannot answer now; the daemon's log says why"}},
		{"bug", errors.New("canary-detail"), wire.Problem{Status: 500, Code: "internal", Detail: "the daemon's log says why, under this request's id"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k.log.Reset()
			got := k.problemOf(context.Background(), tt.err)
			tt.want.Type, tt.want.Title = "/problems/"+tt.want.Code, got.Title
			if d := cmp.Diff(tt.want, *got); d != "" {
				t.Error("(-want +got)", d)
			}
			if strings.Contains(tt.err.Error(), "canary") && !strings.Contains(k.log.String(), "canary-detail") {
				t.Errorf("the log does not say why: %s", k.log)
			}
		})
	}
}

// Every code of otp has its own kind; an unknown one would come out as internal.
func TestEveryRefusalHasAKind(t *testing.T) {
	for _, c := range []otp.Code{otp.InvalidRequest, otp.CountryNotAllowed, otp.NumberNotAllowed, otp.NotFound, otp.AlreadyEnabled, otp.NotEnabled,
		otp.PINNotSet, otp.ChallengeOver, otp.VerificationFailed, otp.InvalidPhone, otp.WeakPIN, otp.RateLimited, otp.Blocked, otp.ResendTooEarly, otp.PINUnavailable} {
		if got := refused(&otp.Error{Code: c}); got.Code != string(c) {
			t.Errorf("%s is answered as %s", c, got.Code)
		}
	}
}

// Bad requests: each gets its own problem, repeats nothing of what was sent, and reaches neither rules nor queue (whose
// zero values would panic, which would be a 500).
func TestBadRequests(t *testing.T) {
	k := newKit(t)
	const canary = "994411"
	enable := "/v1/accounts/a/sms/enable"
	tests := []struct {
		name, method, target, body string
		header                     []string
		status                     int
		code, where                string
	}{
		{name: "unknown member", body: `{"phone":"+447700900123","nmae":1}`, where: "body.nmae"},
		{name: "unknown member that could be a secret", body: `{"phone":"+447700900123","994411":1}`, where: "body"},
		{name: "member given twice", body: `{"phone":"+447700900123","phone":"994411"}`, where: "body"},
		{name: "member in another case", body: `{"Phone":"994411"}`, where: "body.Phone"},
		{name: "member missing", body: `{}`, where: "body"},
		{name: "wrong type", body: `{"phone":994411}`, where: "body.phone"},
		{name: "null", body: `{"phone":null}`, where: "body.phone"},
		{name: "not an object", body: `["994411"]`, where: "body"},
		{name: "not JSON", body: `{"phone":"994411"`, where: "body"},
		{name: "two values", body: `{"phone":"994411"}{}`, where: "body"},
		{name: "not UTF-8", body: "{\"phone\":\"994411\xff\"}", where: "body"},
		{name: "deep", body: `{"phone":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, where: "body"},
		{name: "no body", body: ""},
		{name: "bad locale", body: `{"phone":"+447700900123","locale":"994411"}`, where: "body.locale"},
		{name: "bad client_ip", body: `{"phone":"+447700900123","client_ip":"994411"}`, where: "body.client_ip"},
		{name: "unknown query", target: enable + "?x994411=1", body: `{"phone":"+447700900123"}`, where: "query"},
		{name: "control character in the account", target: "/v1/accounts/a%0a994411/sms/enable", body: `{"phone":"+447700900123"}`, where: "path.account"},
		{name: "slash in the account", target: "/v1/accounts/a%2F994411/sms/enable", body: `{"phone":"+447700900123"}`},
		{name: "long account", target: "/v1/accounts/" + strings.Repeat("a", 129) + "/sms/enable", body: `{"phone":"+447700900123"}`, where: "path.account"},
		{name: "unknown purpose", target: "/v1/challenges", body: `{"account":"a","purpose":"994411"}`, where: "body.purpose"},
		{name: "body where none belongs", target: "/v1/challenges/chl_1/resend", body: `{"code":"994411"}`},
		{name: "huge body", body: `{"phone":"` + strings.Repeat("9", 1<<20) + `"}`, status: 413, code: "too-large"},
		{name: "form", body: "phone=994411", header: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415, code: "unsupported-media-type"},
		{name: "other JSON", body: `{"phone":"994411"}`, header: []string{"Content-Type: application/vnd.api+json"}, status: 415, code: "unsupported-media-type"},
		{name: "odd content type", body: `{"phone":"994411"}`, header: []string{"Content-Type: ;+"}, status: 415, code: "unsupported-media-type"},
		{name: "no such call", target: "/v1/nothing", status: 404, code: "not-found"},
		{name: "slashes", target: "//v1/modems", status: 404, code: "not-found"},
		{name: "dots", method: "GET", target: "/v1/accounts/../modems", status: 404, code: "not-found"},
		{name: "wrong method", method: "PATCH", body: `{}`, status: 405, code: "method-not-allowed"},
		{name: "from another site's page", body: `{"phone":"+447700900123"}`, header: []string{"Sec-Fetch-Site: cross-site"}, status: 403, code: "forbidden"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method, target, status, code := "POST", enable, 400, "invalid-request"
			if tt.method != "" {
				method = tt.method
			}
			if tt.target != "" {
				target = tt.target
			}
			if tt.status != 0 {
				status = tt.status
			}
			if tt.code != "" {
				code = tt.code
			}
			k.log.Reset()
			r := k.do(method, target, k.tokens[ScopePortal], tt.body, tt.header...)
			p := r.problem(t)
			if p.Status != status || p.Code != code {
				t.Fatalf("got %d %s, want %d %s: %s", p.Status, p.Code, status, code, r.body)
			}
			if tt.where != "" && !slices.ContainsFunc(p.Errors, func(e wire.InvalidPart) bool { return e.Location == tt.where }) {
				t.Errorf("the problem is said to be in %+v, want %s", p.Errors, tt.where)
			}
			if strings.Contains(string(r.body), canary) || strings.Contains(k.log.String(), canary) {
				t.Errorf("what was sent is repeated: %s\n%s", r.body, k.log)
			}
		})
	}
}

func TestMethodNotAllowedListsMethods(t *testing.T) {
	k := newKit(t)
	for target, want := range map[string]string{"/v1/messages": "GET, POST", "/v1/accounts/a": "GET, DELETE", "/v1/accounts/a/pin": "PUT", "/openapi.json": "GET, HEAD"} {
		r := k.do(http.MethodPatch, target, k.tokens[ScopeAdmin], "")
		if p := r.problem(t); p.Code != "method-not-allowed" || r.Header.Get("Allow") != want {
			t.Errorf("PATCH %s: %s, Allow %q, want %q", target, p.Code, r.Header.Get("Allow"), want)
		}
	}
}

func TestPanicIsAProblem(t *testing.T) {
	k := newKit(t)
	k.router.HandleFunc("/boom", func(http.ResponseWriter, *http.Request) { panic("canary-994411") })
	r := k.do("GET", "/boom", "", "")
	if p := r.problem(t); p.Code != "internal" {
		t.Errorf("got %s", p.Code)
	}
	if strings.Contains(k.log.String(), "canary-994411") || !strings.Contains(k.log.String(), "request panicked") {
		t.Errorf("log: %s", k.log)
	}
}

// A panic in the middle of an answer breaks the connection: half an answer must not look whole.
func TestPanicInTheMiddle(t *testing.T) {
	k := newKit(t)
	k.router.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{")) // it is in memory
		panic("canary-994411")
	})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v, want the connection broken", got)
		}
		if strings.Contains(k.log.String(), "canary") {
			t.Errorf("log: %s", k.log)
		}
	}()
	k.do("GET", "/half", "", "")
}
