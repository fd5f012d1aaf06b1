package alphabet

import (
	"sync"
	"testing"

	"github.com/warthog618/sms/encoding/gsm7"
	"github.com/warthog618/sms/encoding/gsm7/charset"
)

// Many may encode and decode at once, in every language. It is the race detector that fails this (go test -race).
func TestManyAtOnce(t *testing.T) {
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			for language := range charset.End {
				b, err := gsm7.Encode([]byte("code 123456 €"))
				if err != nil {
					t.Error(err)
				}
				if _, err := gsm7.Decode(b, gsm7.WithCharset(language), gsm7.WithExtCharset(language)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
}
