package wire

import "time"

// Webhook is an endpoint that events are posted to.
type Webhook struct {
	Name     string    `json:"name" doc:"The endpoint's name in the configuration." example:"portal"`
	URL      string    `json:"url" doc:"Where events are posted." example:"https://portal.example/hooks/otpost"`
	OffSince time.Time `json:"off_since,omitzero" doc:"When it answered 410 and was switched off; absent while it is on."`
	Pending  int       `json:"pending" doc:"Events that it has not taken yet, counted up to 10,000." example:"0"`
	OldestAt time.Time `json:"oldest_at,omitzero" doc:"When the oldest of these happened."`
}

// Webhooks are all endpoints, in the configuration's order.
type Webhooks struct {
	Webhooks []Webhook `json:"webhooks" nullable:"false" doc:"All endpoints."`
}

// Delivery is one attempt to post an event.
type Delivery struct {
	Event   string    `json:"event" doc:"The event's id, which the endpoint sees as webhook-id." example:"evt_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Type    string    `json:"type" doc:"What happened." example:"account.sms_enabled"`
	At      time.Time `json:"at" doc:"When it was posted."`
	Attempt int       `json:"attempt" doc:"The how-manieth time; the first is 1." example:"1"`
	Status  int       `json:"status,omitempty" doc:"The endpoint's HTTP status, if it answered." example:"204"`
	Outcome string    `json:"outcome" doc:"ok, or why it failed." example:"ok"`
	TookMS  int64     `json:"took_ms" doc:"How long it took, in milliseconds." example:"42"`
}

// Deliveries are the latest attempts, newest first.
type Deliveries struct {
	Deliveries []Delivery `json:"deliveries" nullable:"false" doc:"The latest attempts."`
}

// ReplayWebhook is the body of POST /v1/webhooks/{name}/replay.
type ReplayWebhook struct {
	Since time.Time `json:"since" doc:"Events from then on are posted again." example:"2026-03-04T09:30:00Z"`
}

// Replayed says how many events will be posted again.
type Replayed struct {
	Events int `json:"events" doc:"How many events will be posted again, at most 10,000." example:"12"`
}

// IdentityStatus is one way of an account to get codes, in the list of all.
type IdentityStatus struct {
	Type string `json:"type" doc:"Which way." example:"sms"`
	Identity
}

// IdentityList is every way of an account to get codes.
type IdentityList struct {
	Identities []IdentityStatus `json:"identities" nullable:"false" doc:"Every way, the disabled ones too."`
}

// Attempt is one hand-over of a message to a modem.
type Attempt struct {
	Modem      string    `json:"modem" doc:"The modem." example:"sim800"`
	SIM        string    `json:"sim,omitempty" doc:"The last four digits of the SIM's ICCID." example:"4567"`
	Outcome    string    `json:"outcome,omitempty" enum:"accepted,refused,unknown" doc:"How it ended; absent while it lasts. Unknown: it may have gone out." example:"accepted"`
	Class      string    `json:"class,omitempty" doc:"Whose fault a refusal was." example:"network"`
	Code       string    `json:"code,omitempty" doc:"Its cause, as a stable code." example:"cms-38"`
	Again      bool      `json:"again,omitempty" doc:"Whether it was the one permitted second send of an uncertain message."`
	References []int     `json:"references,omitempty" doc:"The network's reference (TP-MR) of each part."`
	ClaimedAt  time.Time `json:"claimed_at" doc:"When the hand-over was written down, before the first byte."`
	DoneAt     time.Time `json:"done_at,omitzero" doc:"When its verdict fell."`
}
