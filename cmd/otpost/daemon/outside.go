package daemon

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"otpost/cmd/otpost/config"
	"otpost/gateway/webhook"
	"otpost/otp"
	"otpost/otp/portalpin"
)

// webhooks reads the endpoints' secrets; the gateway checks the rest.
func webhooks(configured []config.Webhook) ([]webhook.Endpoint, error) {
	var all []webhook.Endpoint
	for i, c := range configured {
		e := webhook.Endpoint{Name: cmp.Or(c.Name, host(c.URL)), URL: c.URL, Events: c.Events, AllowPrivate: c.AllowPrivate}
		for _, file := range []string{c.SecretFile, c.OldSecret} {
			text, err := secretFile(file)
			if err != nil {
				return nil, fmt.Errorf("webhooks[%d]: %w", i, err)
			}
			if text == "" {
				continue
			}
			secret, err := webhook.ParseSecret(text)
			if err != nil {
				return nil, fmt.Errorf("webhooks[%d]: secret file %s: %w", i, file, err)
			}
			e.Secrets = append(e.Secrets, secret)
		}
		all = append(all, e)
	}
	return all, nil
}

// host is the host of an address, for a name; an address that is none is refused by whoever uses it.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// pinChecker asks the portal for PINs when the configuration says so; else the rules keep them.
func pinChecker(c config.PIN) (otp.PINChecker, error) {
	if c.Mode != string(otp.PINPortal) {
		return nil, nil
	}
	text, err := secretFile(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || !strings.HasPrefix(text, "whsec_") {
		return nil, fmt.Errorf("pin: secret file %s: not whsec_ and base64", c.SecretFile)
	}
	return portalpin.New(portalpin.Config{URL: c.URL, Secret: secret, Timeout: time.Duration(c.Timeout), Random: rand.Reader})
}
