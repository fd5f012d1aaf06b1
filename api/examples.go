package api

import (
	"time"

	"otpost/api/wire"
)

// exampleTime is when the document's examples play.
func exampleTime(after time.Duration) time.Time {
	return time.Date(2026, time.March, 4, 9, 30, 0, 0, time.UTC).Add(after)
}

func exampleAccount() wire.Account {
	return wire.Account{Account: "client-4711", Grade: 1, PINSet: true, CreatedAt: exampleTime(0), UpdatedAt: exampleTime(time.Minute),
		Identities: wire.Identities{SMS: wire.Identity{Status: "enabled", Phone: "+44*******123", EnabledAt: exampleTime(time.Minute)}}}
}

func exampleChallenge(purpose string) wire.Challenge {
	return wire.Challenge{ID: "chl_01k9w3b5x8t2q4r6s7v9y0z1a2", Account: "client-4711", Purpose: purpose, Status: "pending", Phone: "+44*******123",
		CreatedAt: exampleTime(0), ExpiresAt: exampleTime(5 * time.Minute), ResendAfter: exampleTime(30 * time.Second), SendsLeft: 2, AttemptsLeft: 5,
		Message: wire.ChallengeMessage{ID: "msg_01k9w3b5x8t2q4r6s7v9y0z1a2", Status: "queued"}}
}

func exampleMessage() wire.Message {
	return wire.Message{ID: "msg_01k9w3b5x8t2q4r6s7v9y0z1a2", To: "+44*******123", Kind: "text", Status: "queued",
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
