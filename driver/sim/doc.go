// Package sim is a simulated GSM/LTE modem on a pseudo-terminal, with the network and the phones behind it.
//
// It speaks AT as 3GPP TS 27.005 and 27.007 and ITU-T V.250 have it and as real sticks do (a [Personality] is the
// difference), decodes each submitted TPDU (3GPP TS 23.040), shows the text on the simulated phone and sends the status
// report later. Faults are ordered from Go, over HTTP, from a scenario file or by the recipient's last digits.
//
// It is a twin and not a mock: it shares no code with package driver and knows nothing of it, so that neither can hide
// the other's mistakes.
//
// Rules: one mutex guards a [Modem], another the [Network]; whoever holds both took the modem's first. Whatever happens
// later is a timer of the modem, which [Modem.Close] stops. All times come from package time, so that a modem served
// over net.Pipe runs inside testing/synctest.
package sim
