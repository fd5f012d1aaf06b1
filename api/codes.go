package api

import "net/http"

// kind is one kind of problem: what a caller's program and its author need to know about it.
type kind struct {
	code   string
	status int
	title  string
	means  string // for the page about it: when it happens
	remedy string // and what to do
}

// kindOf returns the kind named code; a code that is in no table is an internal error, and a test looks for those.
func kindOf(code string) kind {
	for _, k := range kinds {
		if k.code == code {
			return k
		}
	}
	return kindOf(codeInternal)
}

// kinds are all kinds of problem, by status.
var kinds = []kind{
	{"invalid-request", 400, "The request is not understood",
		"The request does not have the form that the call asks for: a member is missing, unknown, given twice or of the wrong type, or the body is not JSON. The member `errors` says where.",
		"Correct the request; sending it again as it is will not help."},
	{"unauthenticated", 401, "A valid key is needed",
		"The request carries no key, or one that is unknown, expired or revoked.",
		"Send `Authorization: Bearer <key>`. Make a key with `otpost key create`."},
	{"forbidden", 403, "The key may not do this",
		"The key is valid but has not the scope that the call needs, or may not be used from this address.",
		"Use a key with the scope that the call's description names."},
	{"country-not-allowed", 403, "The phone's country is not served",
		"The configuration lists the countries that texts may go to, and the phone's is not among them.",
		"Ask the operator to add the country to `countries`."},
	{"number-not-allowed", 403, "This kind of number is not served",
		"Premium, shared-cost and pager numbers get no texts, and neither do ranges that are blocked at the time.",
		"Ask for another phone."},
	{"not-found", 404, "There is no such thing",
		"The path names no call, or an account, challenge, message, modem or key that does not exist.",
		"Check the path and the id. An account comes into being when its PIN is set or SMS codes are enabled."},
	{"method-not-allowed", 405, "The call has other methods",
		"The path is right, the method is not. The header `Allow` lists the methods.",
		"Use one of the methods in `Allow`."},
	{"not-acceptable", 406, "Answers are JSON",
		"The header `Accept` excludes JSON.", "Accept `application/json`."},
	{"request-timeout", 408, "The request took too long to arrive",
		"The body did not arrive within 10 seconds.", "Send it again over a better connection."},
	{"sms-already-enabled", 409, "SMS codes are on already",
		"SMS security codes can be turned on only once.", "Disable them first to change the phone."},
	{"sms-not-enabled", 409, "SMS codes are not on",
		"Codes for logins, withdrawals and other operations, and turning codes off, need SMS codes turned on.",
		"Let the client enable SMS security codes."},
	{"pin-not-set", 409, "The account has no PIN",
		"The operation needs the account's PIN, and none was set.", "Let the client set a PIN: `PUT /v1/accounts/{account}/pin`."},
	{"idempotency-in-flight", 409, "A request with this Idempotency-Key is not finished",
		"An earlier request with the same Idempotency-Key is still being answered, or the daemon was stopped while it was, so that its outcome is not known.",
		"Wait a moment and send it again. If it stays so, look up what the first request did and use a new Idempotency-Key."},
	{"too-late", 409, "The message can no longer be canceled",
		"Only a queued message can be canceled; this one is with a modem or has ended.", "Look at its status."},
	{"challenge-over", 410, "The challenge has ended",
		"It was verified, canceled, replaced by a newer one, has expired or is blocked; the member `challenge_status` says which.",
		"Create a new challenge."},
	{"too-large", 413, "The body is too large",
		"Bodies are limited to 64 KiB.", "Send less."},
	{"unsupported-media-type", 415, "The body's type is not understood",
		"Bodies are JSON.", "Send the header `Content-Type: application/json`."},
	{"verification-failed", 422, "The code or PIN is wrong",
		"What was entered is not right; which part of it is not said. The member `attempts_left` says how many answers are left before a block.",
		"Let the client try again, or send the code again."},
	{"invalid-phone", 422, "This is not a phone number",
		"A phone is `+`, the country code and 7 to 15 digits in all.", "Ask the client to correct the number."},
	{"weak-pin", 422, "The PIN is too weak",
		"A PIN is 4 to 12 digits and not one that everybody tries first.", "Ask the client for another PIN."},
	{"idempotency-mismatch", 422, "The Idempotency-Key was used for another request",
		"The same Idempotency-Key came with another call or body within 24 hours.", "Use a new Idempotency-Key for every new request."},
	{"rate-limited", 429, "Too many requests",
		"A limit was reached; the member `limit` names it.", "Wait for as long as `Retry-After` says."},
	{"blocked", 429, "Blocked after too many wrong answers",
		"After 5 wrong answers in a row the account or phone is blocked for 15 minutes, and longer each time.",
		"Wait for as long as `Retry-After` says, or ask an operator to unlock the account."},
	{"resend-too-early", 429, "It is too early to send the code again",
		"There are 30, 60, then 120 seconds between sends of one challenge.", "Wait for as long as `Retry-After` says."},
	{"internal", 500, "Something is wrong in the daemon",
		"A fault of the daemon; its log says more under the id in `request_id`.", "Report it to the operator, with the id."},
	{"modem-failed", 502, "The modem did not do it",
		"The modem was asked for a reset or a USSD code and failed.", "Look at the modem's state: `GET /v1/modems`."},
	{"no-capacity", 503, "The queue is too long",
		"The message could not be sent before its deadline, so it was not accepted.", "Wait for as long as `Retry-After` says."},
	{"pin-unavailable", 503, "The PIN cannot be checked now",
		"The portal keeps the PINs, and it did not answer in time or not properly. Nothing was judged and nothing was counted.",
		"Wait for `retry_after` seconds, then send the request again. The daemon's log says how the portal answered."},
	{"no-modem", 503, "No modem can take the message",
		"No modem is up and allowed to send to this number.", "Look at `GET /v1/modems`; wait for as long as `Retry-After` says."},
	{"unavailable", 503, "The daemon cannot answer now",
		"The daemon is starting, stopping, or its store cannot be read or written.", "Wait for as long as `Retry-After` says."},
	{"storage-low", http.StatusInsufficientStorage, "The disk is nearly full",
		"Free space is below the reserve; sending is off while codes can still be verified.", "Make room on the disk of `data_dir`."},
}
