package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"otpost/api/wire"
)

// A key may have a profile: then POST /v1/messages takes from it what the named system posts, beside our own form. The
// request is translated before anything else looks at it, so limits, checks and idempotency are the same for all.
//
// Most of these systems post a flat form or object under names that their administrator chooses or that became custom;
// members that are none of these names are left alone. Where several of one set are given they must agree.
const sendMessageID = "send-message"

func numberNames() []string {
	return []string{"to", "To", "phone", "phoneNumber", "phone_number", "recipient", "receiver", "number", "msisdn", "destination"}
}

func textNames() []string {
	return []string{"message", "Message", "text", "sms", "body", "Body"}
}

// The profiles that need more than names.
const (
	profileAuthentik    = "authentik"
	profileZitadel      = "zitadel"
	profileGrafana      = "grafana"
	profileAlertmanager = "alertmanager"
)

// maxAlert is how much of an alert is sent: two SMS.
const maxAlert = 300

// compat is the middleware; it runs between reading the body and everything else.
func (s *Server) compat(ctx huma.Context, next func(huma.Context)) {
	r, w := humamux.Unwrap(ctx)
	info := infoOf(r.Context())
	if info.who.profile == "" || ctx.Operation().OperationID != sendMessageID {
		next(ctx)
		return
	}
	in, p := parseForeign(r.Header.Get("Content-Type"), info.body)
	if p == nil {
		var m wire.SendMessage
		if m, info.others, p = translate(info.who, in); p == nil {
			b, err := json.Marshal(m)
			if err != nil {
				p = s.problemOf(r.Context(), err)
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
			r.Header.Set("Content-Type", "application/json")
		}
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	next(ctx)
}

// parseForeign reads a form or a JSON object.
func parseForeign(contentType string, body []byte) (map[string]any, *wire.Problem) {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, problem(codeInvalidRequest, "the form is not well-formed")
		}
		out := map[string]any{}
		for name, v := range values {
			if len(v) > 1 {
				return nil, problem(codeInvalidRequest, "a field of the form is given twice")
			}
			out[name] = v[0]
		}
		return out, nil
	case contentType == "", err == nil && (kind == "application/json" || kind == "text/json"):
		var out map[string]any
		if err := strictJSON(body, &out); err != nil {
			p := problem(codeInvalidRequest, "the request does not have the form that the call asks for")
			p.Errors = []wire.InvalidPart{{Location: "body", Message: err.Error()}}
			return nil, p
		}
		return out, nil
	}
	return nil, problem(codeMediaType, "send the body as application/json or application/x-www-form-urlencoded")
}

// translate makes our request of another system's, and says who else gets the text.
func translate(who principal, in map[string]any) (wire.SendMessage, []wire.Secret, *wire.Problem) {
	switch who.profile {
	case profileGrafana, profileAlertmanager:
		if len(who.recipients) == 0 {
			return wire.SendMessage{}, nil, problem(codeInvalidRequest, "the key has no recipients; alerts name none")
		}
		text := alertText(in)
		if text == "" {
			return wire.SendMessage{}, nil, problem(codeInvalidRequest, "this is not an alert")
		}
		return wire.SendMessage{To: who.recipients[0], Text: wire.Secret(text), Priority: "high"}, who.recipients[1:], nil
	case profileZitadel:
		if context, ok := in["contextInfo"].(map[string]any); ok {
			data, _ := in["templateData"].(map[string]any)
			in = map[string]any{"to": context["recipientPhoneNumber"], "text": data["text"]}
		}
	}
	if who.profile == profileAuthentik && in["Message"] != nil {
		delete(in, "Body") // the bare code; Message has the words around it
	}
	to, p := oneOf(in, numberNames(), "a recipient", true)
	if p != nil {
		return wire.SendMessage{}, nil, p
	}
	text, p := oneOf(in, textNames(), "a text", false)
	if p != nil {
		return wire.SendMessage{}, nil, p
	}
	return wire.SendMessage{To: wire.Secret(to), Text: wire.Secret(text), Priority: "high"}, nil, nil
}

// oneOf finds the one value among the names. A number in JSON has lost its plus sign, which comes back.
func oneOf(in map[string]any, names []string, what string, phone bool) (string, *wire.Problem) {
	found := ""
	for _, name := range names {
		v, ok := in[name]
		if !ok || v == nil {
			continue
		}
		s, ok := v.(string)
		if n, isNumber := v.(float64); isNumber && n == math.Trunc(n) && n >= 0 && n < 1<<53 {
			s, ok = strconv.FormatFloat(n, 'f', -1, 64), true
			if phone {
				s = "+" + s
			}
		}
		if !ok || found != "" && s != found {
			return "", problem(codeInvalidRequest, "the request needs "+what+" as one string, in one of: "+strings.Join(names, ", "))
		}
		found = s
	}
	if found == "" {
		return "", problem(codeInvalidRequest, "the request needs "+what+", in one of: "+strings.Join(names, ", "))
	}
	return found, nil
}

// alertText puts a webhook of Alertmanager (version 4) or Grafana into few words: state, name, what is common to the
// alerts, and the summary of the first.
func alertText(in map[string]any) string {
	alerts, _ := in["alerts"].([]any)
	status, _ := in["status"].(string)
	if len(alerts) == 0 || status == "" {
		return ""
	}
	first, _ := alerts[0].(map[string]any)
	head := "[" + strings.ToUpper(status) + ":" + strconv.Itoa(len(alerts)) + "]"
	labels := merged(first["labels"], in["commonLabels"], in["groupLabels"])
	notes := merged(first["annotations"], in["commonAnnotations"])
	words := []string{head}
	for _, w := range []string{labels["alertname"], labels["severity"], labels["instance"], cmp.Or(notes["summary"], notes["description"])} {
		if w != "" {
			words = append(words, w)
		}
	}
	text := []rune(strings.Join(words, " "))
	if len(text) > maxAlert {
		text = append(text[:maxAlert-1], '…')
	}
	return string(text)
}

// merged lays string maps over each other.
func merged(maps ...any) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		values, _ := m.(map[string]any)
		for name, v := range values {
			if s, ok := v.(string); ok {
				out[name] = s
			}
		}
	}
	return out
}

// Profiles are the names of the profiles that a key may have.
func Profiles() []string {
	return []string{"generic", profileAuthentik, "keycloak", profileZitadel, "kratos", "privacyidea", "linotp", profileGrafana, profileAlertmanager}
}

// checkProfile checks a key's profile against the rest of it.
func checkProfile(s KeySpec) error {
	alerts := s.Profile == profileGrafana || s.Profile == profileAlertmanager
	switch {
	case s.Profile != "" && !slices.Contains(Profiles(), s.Profile):
		return problem(codeInvalidRequest, "a profile is one of "+strings.Join(Profiles(), ", "))
	case alerts && len(s.Recipients) == 0:
		return problem(codeInvalidRequest, "a key for alerts needs recipients")
	case !alerts && len(s.Recipients) > 0:
		return problem(codeInvalidRequest, "only a key for alerts (grafana, alertmanager) has recipients")
	}
	return nil
}

// bearerOf returns the token of an Authorization field: of Bearer, or the password of Basic, which is all that some of
// these systems can send.
func bearerOf(r *http.Request, field string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(field, " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	_, password, ok := r.BasicAuth()
	return password, ok
}
