package console

import "slices"

// The scopes of the API that the console asks about.
const (
	scopePortal   = "portal"
	scopeMessages = "messages"
	scopeOps      = "ops"
	scopeAdmin    = "admin"
)

// route is one path of a page or of a form. The scopes only decide what is offered; the API decides what is done.
type route struct {
	method, path string
	nav          string   // the entry of the menu that it belongs to
	may          []string // any of these scopes, or admin; nil: admin only
	simulated    bool     // only while the modems are simulated
	serve        func(q *request) error
}

// routes are all paths behind the sign-in.
func routes() []route {
	ops, texts, portal := []string{scopeOps}, []string{scopeOps, scopeMessages}, []string{scopePortal}
	return append(simulationRoutes(), []route{
		{method: "GET", path: "{$}", nav: "overview", may: ops, serve: overview},
		{method: "POST", path: "sign-out", may: ops, serve: signOut},
		{method: "GET", path: "messages", nav: "messages", may: texts, serve: messages},
		{method: "POST", path: "messages/find", nav: "messages", may: texts, serve: findMessages},
		{method: "GET", path: "messages/{id}", nav: "messages", may: texts, serve: message},
		{method: "POST", path: "messages/{id}/cancel", nav: "messages", may: []string{scopeMessages}, serve: cancelMessage},
		{method: "GET", path: "modems", nav: "modems", may: ops, serve: modems},
		{method: "GET", path: "modems/{name}", nav: "modems", may: ops, serve: modem},
		{method: "POST", path: "modems/{name}/pause", nav: "modems", may: ops, serve: pauseModem},
		{method: "POST", path: "modems/{name}/resume", nav: "modems", may: ops, serve: resumeModem},
		{method: "POST", path: "modems/{name}/reset", nav: "modems", may: ops, serve: resetModem},
		{method: "POST", path: "modems/{name}/ussd", nav: "modems", may: ops, serve: dialUSSD},
		{method: "GET", path: "inbox", nav: "inbox", may: []string{scopeMessages}, serve: inbox},
		{method: "GET", path: "accounts", nav: "accounts", may: portal, serve: accounts},
		{method: "POST", path: "accounts/find", nav: "accounts", may: portal, serve: findAccount},
		{method: "GET", path: "accounts/{account}", nav: "accounts", may: portal, serve: account},
		{method: "POST", path: "accounts/{account}/unlock", nav: "accounts", serve: unlockAccount},
		{method: "GET", path: "limits", nav: "limits", may: ops, serve: limits},
		{method: "GET", path: "webhooks", nav: "webhooks", may: ops, serve: webhooks},
		{method: "GET", path: "webhooks/{name}", nav: "webhooks", may: ops, serve: webhook},
		{method: "POST", path: "webhooks/{name}/test", nav: "webhooks", serve: testWebhook},
		{method: "POST", path: "webhooks/{name}/enable", nav: "webhooks", serve: enableWebhook},
		{method: "POST", path: "webhooks/{name}/replay", nav: "webhooks", serve: replayWebhook},
		{method: "GET", path: "keys", nav: "keys", serve: keys},
		{method: "POST", path: "keys", nav: "keys", serve: createKey},
		{method: "POST", path: "keys/{id}/rotate", nav: "keys", serve: rotateKey},
		{method: "POST", path: "keys/{id}/revoke", nav: "keys", serve: revokeKey},
		{method: "GET", path: "audit", nav: "audit", serve: audit},
		{method: "POST", path: "audit/check", nav: "audit", serve: checkAudit},
	}...)
}

// entry is a line of the menu.
type entry struct {
	name, path string
	may        []string
	simulated  bool
}

// menu is the navigation, in order. Its texts are nav.<name>.
func menu() []entry {
	ops := []string{scopeOps}
	return []entry{
		{name: "overview", path: "", may: ops},
		{name: "messages", path: "messages", may: []string{scopeOps, scopeMessages}},
		{name: "modems", path: "modems", may: ops},
		{name: "inbox", path: "inbox", may: []string{scopeMessages}},
		{name: "accounts", path: "accounts", may: []string{scopePortal}},
		{name: "limits", path: "limits", may: ops},
		{name: "webhooks", path: "webhooks", may: ops},
		{name: "keys", path: "keys"},
		{name: "audit", path: "audit"},
		{name: "phones", path: "phones", may: ops, simulated: true},
		{name: "tryit", path: "try", may: ops, simulated: true},
	}
}

// permits says whether somebody with those scopes may use what asks for one of may.
func permits(scopes, may []string) bool {
	return slices.Contains(scopes, scopeAdmin) || slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(may, s) })
}
