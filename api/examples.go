package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"otpost/api/wire"
)

// exampleTime is when the document's examples play.
func exampleTime(after time.Duration) time.Time {
	return time.Date(2026, time.March, 4, 9, 30, 0, 0, time.UTC).Add(after)
}

func exampleAccount() wire.Account {
	return wire.Account{Account: "client-4711", Grade: 1, PINSet: true, CreatedAt: exampleTime(0), UpdatedAt: exampleTime(time.Minute),
		Identities: wire.Identities{SMS: wire.Identity{Status: "enabled", Phone: "+44********23", EnabledAt: exampleTime(time.Minute)}}}
}

func exampleChallenge(purpose string) wire.Challenge {
	return wire.Challenge{ID: "chl_01k9w3b5x8t2q4r6s7v9y0z1a2", Account: "client-4711", Purpose: purpose, Status: "pending", Phone: "+44********23",
		CreatedAt: exampleTime(0), ExpiresAt: exampleTime(5 * time.Minute), ResendAfter: exampleTime(30 * time.Second), SendsLeft: 2, AttemptsLeft: 5,
		Message: wire.ChallengeMessage{ID: "msg_01k9w3b5x8t2q4r6s7v9y0z1a2", Status: "queued"}}
}

func exampleMessage() wire.Message {
	return wire.Message{ID: "msg_01k9w3b5x8t2q4r6s7v9y0z1a2", To: "+44********23", Kind: "text", Lane: "text", Status: "queued",
		CreatedAt: exampleTime(0), NotAfter: exampleTime(time.Hour)}
}

func exampleKey() wire.Key {
	return wire.Key{ID: "key_01k9w3b5x8t2q4r6s7v9y0z1a2", Name: "portal production", Scopes: []string{"portal"}, CreatedAt: exampleTime(0)}
}

func exampleModem() wire.Modem {
	left := 488
	return wire.Modem{Name: "sim800", State: "ready", Since: exampleTime(0), SignalDBm: -71, Operator: "EE", Registration: "home",
		Device: "/dev/ttyUSB0", Manufacturer: "SIMCOM", Model: "SIM800C", IMEI: "867567021234567", ICCID: "8944110068341234567",
		Reports: true, StorageTotal: 20, SentToday: 12, DayLeft: &left, LastGoodAt: exampleTime(0)}
}

// problemExamples are one problem of each kind, with the members that go with it.
func problemExamples() map[string]*huma.Example {
	out := map[string]*huma.Example{}
	left := 4
	for _, k := range kinds {
		p := problem(k.code, "")
		p.RequestID = "req-8f3k2m9x4c7v1b6n"
		switch k.code {
		case codeInvalidRequest:
			p.Errors = []wire.InvalidPart{{Location: "body.phone", Message: "expected string"}}
		case codeRateLimited:
			p.Limit, p.RetryAfter = "phone-hour", 1800
		case "blocked", "resend-too-early", "pin-unavailable", codeNoCapacity, codeNoModem, codeUnavailable:
			p.RetryAfter = 30
		case "verification-failed":
			p.AttemptsLeft = &left
		case "challenge-over":
			p.ChallengeStatus = "expired"
		}
		out[k.code] = &huma.Example{Summary: k.title, Value: p}
	}
	return out
}
