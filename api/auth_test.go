package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// Who may call what, written out; the document must have the same calls.
var matrix = map[string]string{
	"GET /v1/accounts/{account}":                     "portal",
	"PUT /v1/accounts/{account}/pin":                 "portal",
	"PUT /v1/accounts/{account}/grade":               "portal",
	"DELETE /v1/accounts/{account}":                  "portal",
	"POST /v1/accounts/{account}/unlock":             "",
	"POST /v1/accounts/{account}/sms/enable":         "portal",
	"POST /v1/accounts/{account}/sms/enable/verify":  "portal",
	"POST /v1/accounts/{account}/sms/disable":        "portal",
	"POST /v1/accounts/{account}/sms/disable/verify": "portal",
	"POST /v1/challenges":                            "portal",
	"GET /v1/challenges/{id}":                        "portal",
	"POST /v1/challenges/{id}/resend":                "portal",
	"POST /v1/challenges/{id}/verify":                "portal",
	"DELETE /v1/challenges/{id}":                     "portal",
	"POST /v1/messages":                              "messages",
	"GET /v1/messages":                               "messages ops",
	"GET /v1/messages/{id}":                          "messages ops",
	"DELETE /v1/messages/{id}":                       "messages",
	"POST /v1/recipients":                            "messages ops",
	"GET /v1/overview":                               "ops",
	"GET /v1/inbox":                                  "messages",
	"GET /v1/modems":                                 "ops",
	"GET /v1/modems/{name}":                          "ops",
	"POST /v1/modems/{name}/pause":                   "ops",
	"POST /v1/modems/{name}/resume":                  "ops",
	"POST /v1/modems/{name}/reset":                   "ops",
	"POST /v1/modems/{name}/ussd":                    "ops",
	"GET /v1/modems/{name}/trace":                    "ops",
	"GET /v1/accounts/{account}/failures":            "portal",
	"GET /v1/events":                                 "portal ops",
	"GET /v1/accounts/{account}/identities":          "portal",
	"GET /v1/master-keys":                            "",
	"GET /v1/webhooks":                               "ops",
	"GET /v1/webhooks/{name}/deliveries":             "ops",
	"POST /v1/webhooks/{name}/test":                  "",
	"POST /v1/webhooks/{name}/replay":                "",
	"POST /v1/webhooks/{name}/enable":                "",
	"POST /v1/keys":                                  "",
	"GET /v1/keys":                                   "",
	"DELETE /v1/keys/{id}":                           "",
	"POST /v1/keys/{id}/rotate":                      "",
	"GET /v1/caller":                                 "portal messages ops",
	"GET /v1/limits/report":                          "ops",
	"GET /v1/audit":                                  "",
	"GET /v1/audit/check":                            "",
	"POST /v1/backup":                                "",
	"GET /v1/simulator/messages":                     "portal messages ops",
	"DELETE /v1/simulator/messages":                  "portal messages ops",
	"GET /v1/simulator/phones":                       "portal messages ops",
	"POST /v1/simulator/texts":                       "portal messages ops",
	"GET /v1/simulator/faults":                       "portal messages ops",
	"POST /v1/simulator/faults":                      "portal messages ops",
	"DELETE /v1/simulator/faults":                    "portal messages ops",
	"PUT /v1/simulator/faults/{id}":                  "portal messages ops",
	"DELETE /v1/simulator/faults/{id}":               "portal messages ops",
	"GET /v1/simulator/modems":                       "portal messages ops",
	"PATCH /v1/simulator/modems/{name}":              "portal messages ops",
	"GET /healthz":                                   "portal messages ops",
	"GET /readyz":                                    "portal messages ops",
}

// operations calls f for each operation of the document.
func operations(doc *huma.OpenAPI, f func(method, path string, op *huma.Operation)) {
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch} {
			if op != nil {
				f(method, path, op)
			}
		}
	}
}

var fill = strings.NewReplacer("{account}", "client-1", "{id}", "key_1", "{name}", "modem1")

// stand-in for "the call was let in": a request that cannot be understood, so that nothing is changed by it.
const letInProbe = "?probe=1"

// Each call is refused to every caller without its scope, whichever way it comes in: by key, by socket, by certificate.
// The probe has an unknown query parameter, so a call that is let in answers 400 and reaches no handler.
func TestScopesByCalls(t *testing.T) {
	k := newKit(t, func(c *Config) {
		c.SocketScopes = map[uint32][]Scope{1001: {ScopePortal}, 1002: {ScopeMessages}, 1003: {ScopeOps}, 1004: {ScopeAdmin}}
		c.CertificateScopes = map[string][]Scope{}
		for _, s := range Scopes() {
			c.CertificateScopes[string(s)+".example"] = []Scope{s}
		}
	})
	calls := 0
	operations(k.OpenAPI(), func(method, path string, op *huma.Operation) {
		may, ok := matrix[method+" "+path]
		if !ok {
			t.Errorf("%s %s is not in the matrix", method, path)
			return
		}
		calls++
		for i, scope := range Scopes() {
			want := http.StatusForbidden
			if scope == ScopeAdmin || strings.Contains(may, string(scope)) {
				want = http.StatusBadRequest
			}
			byKey := func(r *http.Request) *http.Request {
				r.Header.Set("Authorization", "Bearer "+k.tokens[scope])
				return r
			}
			bySocket := func(r *http.Request) *http.Request {
				return r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{uid: uint32(1001 + i), own: 990}))
			}
			byCert := func(r *http.Request) *http.Request {
				leaf := &x509.Certificate{Subject: pkix.Name{CommonName: string(scope) + ".example"}}
				r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}
				return r
			}
			for way, come := range map[string]func(*http.Request) *http.Request{"key": byKey, "socket": bySocket, "certificate": byCert} {
				w := httptest.NewRecorder()
				k.Handler().ServeHTTP(w, come(httptest.NewRequest(method, fill.Replace(path)+letInProbe, nil)))
				if w.Code != want {
					t.Errorf("%s %s with %s by %s: %d, want %d: %s", method, path, scope, way, w.Code, want, w.Body)
				}
			}
		}
	})
	if calls != len(matrix) {
		t.Errorf("the document has %d of the matrix's %d calls", calls, len(matrix))
	}
}

// Nobody gets in without saying who they are, but to health and metrics from this machine.
func TestWithoutKey(t *testing.T) {
	k := newKit(t)
	ask := func(method, target string, change func(*http.Request)) int {
		r := httptest.NewRequest(method, target, nil)
		change(r)
		clear(k.penalties.sources) // penalties are tested elsewhere
		w := httptest.NewRecorder()
		k.Handler().ServeHTTP(w, r)
		return w.Code
	}
	strangers := map[string]func(*http.Request){
		"from away":          func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" },
		"over a local proxy": func(r *http.Request) { r.RemoteAddr = "127.0.0.1:1"; r.Header.Set("X-Forwarded-For", "192.0.2.1") },
		"with a wrong key": func(r *http.Request) {
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("Authorization", "Bearer otp_live_x")
		},
		"with a password": func(r *http.Request) { r.RemoteAddr = "127.0.0.1:1"; r.SetBasicAuth("a", "b") },
		"with two keys": func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + k.tokens[ScopeAdmin], "Bearer x"}
		},
		"unknown socket user": func(r *http.Request) {
			*r = *r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{uid: 1000, own: 990}))
		},
		"unverified certificate": func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}} },
	}
	for name, change := range strangers {
		operations(k.OpenAPI(), func(method, path string, _ *huma.Operation) {
			if got := ask(method, fill.Replace(path), change); got != http.StatusUnauthorized {
				t.Errorf("%s: %s %s: %d, want 401", name, method, path, got)
			}
		})
		if got := ask("GET", "/metrics", change); got != http.StatusUnauthorized {
			t.Errorf("%s: metrics: %d, want 401", name, got)
		}
	}
	for _, addr := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		local := func(r *http.Request) { r.RemoteAddr = addr }
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if got := ask("GET", path, local); got != http.StatusOK {
				t.Errorf("%s from %s: %d, want 200", path, addr, got)
			}
		}
		if got := ask("GET", "/v1/modems", local); got != http.StatusUnauthorized {
			t.Errorf("modems from %s without a key: %d, want 401", addr, got)
		}
	}
	if w := k.do("GET", "/v1/modems", "", ""); w.Header.Get("WWW-Authenticate") != `Bearer realm="otpost"` {
		t.Errorf("WWW-Authenticate is %q", w.Header.Get("WWW-Authenticate"))
	}
}

// Root and the daemon's own user are operators on the socket.
func TestSocketOwners(t *testing.T) {
	k := newKit(t)
	for _, p := range []peer{{uid: 0, own: 990}, {uid: 990, own: 990}} {
		r := httptest.NewRequest("GET", "/v1/keys", nil)
		w := httptest.NewRecorder()
		k.Handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, p)))
		if w.Code != http.StatusOK {
			t.Errorf("%+v: %d", p, w.Code)
		}
	}
}
