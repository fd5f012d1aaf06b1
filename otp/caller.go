package otp

import (
	"net/netip"
)

// check refuses an address that is none, rather than counting it with others that are none.
func (c Caller) check() error {
	if c.ClientIP == "" {
		return nil
	}
	if _, err := parseAddress(c.ClientIP); err != nil {
		return refuse(InvalidRequest, "client_ip is an IPv4 or IPv6 address")
	}
	return nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	return a.WithZone("").Unmap(), err
}

// address returns what counts as one client: an IPv4 address, or an IPv6 network of 64 bits; empty when unknown.
func (c Caller) address() string {
	a, err := parseAddress(c.ClientIP)
	if err != nil {
		return ""
	}
	if a.Is4() {
		return a.String()
	}
	return maskTo(a, 64)
}

// network returns the wider network of the client, for the audit trail.
func (c Caller) network() string {
	a, err := parseAddress(c.ClientIP)
	switch {
	case err != nil:
		return ""
	case a.Is4():
		return maskTo(a, 24)
	default:
		return maskTo(a, 48)
	}
}

func maskTo(a netip.Addr, bits int) string {
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// address returns the pseudonym of the client address that answers for c: the caller's, or else that of who asked for it.
func (w *work) address(c *challenge) string {
	if a := w.actor(); a != "" {
		return a
	}
	return c.Address
}

// actor returns the pseudonym by which failures tell client addresses apart; empty when unknown.
func (w *work) actor() string {
	if a := w.by.address(); a != "" {
		return w.pseudonym("address", a)
	}
	return ""
}
