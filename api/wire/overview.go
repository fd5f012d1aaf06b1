package wire

import "time"

// Overview is how codes fare now.
type Overview struct {
	Lanes      []LaneQueue `json:"lanes" nullable:"false" doc:"What waits, most urgent lane first."`
	Recent     Recent      `json:"recent" doc:"How the latest messages fared."`
	StorageLow bool        `json:"storage_low" doc:"Whether the disk is so full that nothing new is taken." example:"false"`
}

// LaneQueue is what waits in one lane.
type LaneQueue struct {
	Lane          string  `json:"lane" enum:"withdrawal,login,enrol,text" doc:"The lane." example:"login"`
	Waiting       int     `json:"waiting" doc:"How many messages wait." example:"3"`
	OldestSeconds float64 `json:"oldest_seconds" doc:"Age of the oldest." example:"1.2"`
}

// Recent is how the latest messages fared: those of the last 24 hours, or as many of them as are looked at.
type Recent struct {
	Since     time.Time      `json:"since,omitzero" doc:"When the oldest of them was accepted."`
	All       bool           `json:"all" doc:"Whether these are all of the last 24 hours." example:"true"`
	Messages  map[string]int `json:"messages" doc:"How many there are in each state."`
	Codes     int            `json:"codes" doc:"How many of them carry codes." example:"120"`
	Delivered int            `json:"delivered" doc:"Codes that phones confirmed." example:"117"`
	Verified  int            `json:"verified" doc:"Codes that came back." example:"110"`
	Sent      Spread         `json:"sent" doc:"From accepting a code to the network's taking it."`
	Phone     Spread         `json:"phone" doc:"From accepting a code to the phone's confirming it."`
}

// Spread is how long something took.
type Spread struct {
	Count int     `json:"count" doc:"How many were measured." example:"117"`
	P50   float64 `json:"p50" doc:"Seconds that half of them took at most." example:"2.1"`
	P95   float64 `json:"p95" doc:"Seconds that 95 of 100 took at most." example:"4.9"`
}
