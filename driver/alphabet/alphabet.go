// Package alphabet has the tables of the GSM 7 bit alphabets (3GPP TS 23.038, 6.2.1) made before anybody reads them: the library
// makes each at its first use, without a lock, and modems are many. Packages that encode or decode texts import it.
package alphabet

import "github.com/warthog618/sms/encoding/gsm7/charset"

func init() {
	for language := range charset.End { // of incoming texts
		charset.NewDecoder(language)
		charset.NewExtDecoder(language)
	}
	charset.DefaultEncoder() // outgoing ones name no language
	charset.DefaultExtEncoder()
}
