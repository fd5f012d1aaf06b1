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
	ops := []string{scopeOps}
	return append(simulationRoutes(), []route{
		{method: "GET", path: "{$}", nav: "overview", may: ops, serve: overview},
		{method: "POST", path: "sign-out", may: ops, serve: signOut},
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
		{name: "phones", path: "phones", may: ops, simulated: true},
		{name: "tryit", path: "try", may: ops, simulated: true},
	}
}

// permits says whether somebody with those scopes may use what asks for one of may.
func permits(scopes, may []string) bool {
	return slices.Contains(scopes, scopeAdmin) || slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(may, s) })
}
