package wire

import "time"

// LimitsReport is what the limits did, and where every destination stands with the pumping guard.
type LimitsReport struct {
	Mode         string             `json:"mode" enum:"off,observe,enforce" doc:"What the pumping guard does." example:"observe"`
	Days         []LimitsDay        `json:"days" nullable:"false" doc:"Newest first; days on which nothing was refused are absent."`
	Destinations []LimitDestination `json:"destinations" nullable:"false" doc:"The nearest to their budget first."`
	Conversions  []Conversion       `json:"conversions" nullable:"false" doc:"How many codes came back, by modem and range of numbers. Routing leaves a modem by its SIM's whole conversion, not by these."`
}

// Conversion is how many codes to one range of numbers came back that one modem had sent.
type Conversion struct {
	Modem    string  `json:"modem" doc:"The modem." example:"sim800"`
	Prefix   string  `json:"prefix" doc:"The calling code and the digits behind it, five in all." example:"+44770"`
	Country  string  `json:"country,omitempty" doc:"The range's country, where it is known." example:"GB"`
	Sent     float64 `json:"sent" doc:"Codes sent. Each new one takes a hundredth off what was counted before, so that the last hundred or so decide." example:"87.5"`
	Verified float64 `json:"verified" doc:"Those that were typed back, counted likewise." example:"80.1"`
}

// LimitsDay is one day of a limits report, in UTC.
type LimitsDay struct {
	Day   string       `json:"day" doc:"The day, in UTC." example:"2026-03-04"`
	Lines []LimitsLine `json:"lines" nullable:"false" doc:"By limit and country."`
}

// LimitsLine is what one limit or rule did on one day.
type LimitsLine struct {
	Limit       string `json:"limit" doc:"The limit, or the code of the refusal." example:"phone-hour"`
	Country     string `json:"country,omitempty" doc:"The destination's country, where it is known." example:"GB"`
	Refused     int    `json:"refused" doc:"Requests refused." example:"3"`
	WouldRefuse int    `json:"would_refuse" doc:"Requests that a guard in mode observe would have refused." example:"0"`
}

// LimitDestination is where one destination stands with the pumping guard.
type LimitDestination struct {
	Destination string `json:"destination" doc:"A country, or a calling code and three digits." example:"GB"`
	Unverified  int    `json:"unverified" doc:"Codes of the last 24 hours that nobody answered." example:"4"`
	Verified    int    `json:"verified" doc:"Codes of the last 24 hours that were answered." example:"120"`
	Budget      int    `json:"budget" doc:"How many unverified ones are let pass." example:"270"`
	BlockedFor  int    `json:"blocked_for" doc:"Seconds of a block that are left; in mode observe those that would be." example:"0"`
}

// AuditEntry is one line of the audit trail. Accounts, phones and addresses are keyed pseudonyms.
type AuditEntry struct {
	Seq     uint64            `json:"seq" doc:"Its number; the first is 1." example:"1"`
	At      time.Time         `json:"at" doc:"When."`
	Action  string            `json:"action" doc:"What was asked for." example:"sms.enable"`
	Outcome string            `json:"outcome" doc:"ok, or the code of the refusal." example:"ok"`
	Account string            `json:"account,omitempty" doc:"Pseudonym of the account." example:"p7xk2m"`
	Phone   string            `json:"phone,omitempty" doc:"Pseudonym of the phone." example:"p9qv4c"`
	By      string            `json:"by" doc:"The key's id, or socket:<uid>." example:"key_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Request string            `json:"request,omitempty" doc:"The request's id in the daemon's log." example:"req-8f3k2m9x4c7v1b6n"`
	Network string            `json:"network,omitempty" doc:"The client's network, /24 or /48." example:"198.51.100.0/24"`
	Client  string            `json:"client,omitempty" doc:"Pseudonym of the client's address." example:"p3ws8d"`
	Facts   map[string]string `json:"facts,omitempty" doc:"More, by action."`
	Prev    string            `json:"prev" doc:"Hash of the entry before, in hex." example:""`
	Hash    string            `json:"hash" doc:"SHA-256 of the entry's JSON with this member empty, in hex." example:"9f86d081884c7d65"`
}

// Audit is one page of the audit trail, oldest first.
type Audit struct {
	Entries []AuditEntry `json:"entries" nullable:"false" doc:"The page."`
	Next    uint64       `json:"next,omitempty" doc:"Where the next page begins; absent on the last." example:"201"`
	Last    uint64       `json:"last" doc:"The number of the trail's last entry; 0: there is none." example:"4711"`
}

// AuditCheck is the outcome of a check of the whole trail.
type AuditCheck struct {
	Good     bool   `json:"good" doc:"Whether every entry is there, unaltered and in its place." example:"true"`
	Entries  uint64 `json:"entries" doc:"How many entries were found good." example:"4711"`
	LastHash string `json:"last_hash,omitempty" doc:"Hash of the last good entry; noted down elsewhere it shows later whether the end was cut off." example:"9f86d081884c7d65"`
	BrokenAt uint64 `json:"broken_at,omitempty" doc:"The first entry that is not good." example:"17"`
	Why      string `json:"why,omitempty" doc:"What is wrong with it." example:"was altered"`
}

// CreateBackup is the body of POST /v1/backup.
type CreateBackup struct {
	Recipients []string `json:"recipients" minItems:"1" maxItems:"16" nullable:"false" doc:"age public keys; whoever has one's secret half can read the backup." example:"[\"age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq\"]"`
}
