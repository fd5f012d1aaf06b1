package store

import (
	"bytes"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/crypto/chacha20poly1305"
)

// wordsSum and squeezedRecord are what stores out there were written with.
const (
	wordsSum       = "bd7dfaccd4220f8fcf311201da7e7e05886ad535cb59a7d58ae0e28310e05768"
	squeezedRecord = "9c020d00746d73675f30316d386763376e70796b61677a38626b78636a73303768686e5d9a243737303039303031313596a40200312e930224636c69" +
		"656e742d313135329d0232e70e3692023c3271636d326d37627936686d757232372ea2029295044431312d32385430363a30373a31352e31363652aa" +
		"0115272c31323a31352e3136365a227d"
	aRecord = `{"id":"msg_01m8gc7npykagz8bkxcjs07hhn","to":"+447700900115","country":"GB","kind":"code","lane":1,"account":"client-115",` +
		`"purpose":"withdrawal","request":"req-2qcm2m7by6hmur27","status":"queued","parts":1,"created_at":"2026-11-28T06:07:15.166Z","not_after":"2026-11-28T06:12:15.166Z"}`
)

// What was once squeezed can be read for ever: the dictionary does not change, nor does what the library makes of it.
func TestWordsNeverChange(t *testing.T) {
	sum := sha256.Sum256(words)
	if got := hex.EncodeToString(sum[:]); got != wordsSum {
		t.Errorf("words.txt has the SHA-256 sum %s, want %s", got, wordsSum)
	}
	b, err := hex.DecodeString(squeezedRecord)
	if err != nil {
		t.Fatal(err)
	}
	got, err := expand(b)
	if err != nil || string(got) != aRecord {
		t.Errorf("what was squeezed reads %q, %v", got, err)
	}
	if now, ok := squeeze(nil, []byte(aRecord)); !ok || len(now)*2 > len(aRecord) {
		t.Errorf("%d bytes are squeezed to %d, %v; %x", len(aRecord), len(now), ok, now)
	}
}

// Each line of the dictionary but the one that begins an id is a record.
func TestWordsAreRecords(t *testing.T) {
	for line := range strings.Lines(string(words)) {
		if line = strings.TrimSpace(line); !json.Valid([]byte(line)) && line != `"chl_01` {
			t.Errorf("%s", line)
		}
	}
}

// outgrowing returns a value of n bytes that makes S2 blocks grow: noise in which every 262 bytes, where the library looks, four
// come that came some bytes before. It panics at some of those that are long.
func outgrowing(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	other := func() byte { return byte('A' + r.IntN(50)) }
	for i := range b {
		b[i] = other()
	}
	distance := 40 + r.IntN(50)
	copy(b[2*distance:2*distance+8], b[distance:distance+8])
	at, since := 2*distance+8, 2*distance+8
	for at+20 < n {
		if at-since < 257 {
			at += (at-since)>>6 + 4
			continue
		}
		copy(b[at+1:at+5], b[at+1-distance:at+5-distance])
		for b[at] == b[at-distance] {
			b[at] = other()
		}
		for b[at+5] == b[at+5-distance] {
			b[at+5] = other()
		}
		at += 5
		since = at
	}
	return b
}

// Values that are made to outgrow the room that the library asks for are sealed like others.
func TestSqueezeOutgrowing(t *testing.T) {
	s := newTestSealer(t, newRing(t))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		value := outgrowing(r, 500+r.IntN(squeezeMost-500)+1)
		if i%20 == 0 {
			value = outgrowing(r, 60_000)
		}
		got, err := s.open("t/a", s.seal(nil, "t/a", value))
		if err != nil || !bytes.Equal(got, value) {
			t.Fatalf("%d bytes: %v", len(value), err)
		}
	}
}

// FuzzSqueeze: what is squeezed is shorter and expands to what it was, behind whatever came before it; and any bytes are expanded
// or refused.
func FuzzSqueeze(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add([]byte(aRecord), 10)
	f.Add(words, 1)
	f.Add(bytes.Repeat([]byte{0}, 100_000), 3)
	f.Add(bytes.Repeat([]byte{0}, squeezeMost), 3)
	f.Fuzz(func(t *testing.T, value []byte, before int) {
		dst := slices.Grow(bytes.Repeat([]byte{7}, before&63), max(0, before>>6)&0xffff)
		got, squeezed := squeeze(dst, value)
		if !bytes.HasPrefix(got, dst) || squeezed && len(got)-len(dst) >= len(value) {
			t.Fatalf("%d bytes became %d, the first of them %x", len(value), len(got)-len(dst), got[:len(dst)])
		}
		back := got[len(dst):]
		if squeezed {
			var err error
			if back, err = expand(back); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(back, value) {
			t.Fatalf("%q became %q", value, back)
		}
		if v, err := expand(value); err == nil && len(v) > squeezeMost {
			t.Fatalf("%d bytes expanded to %d", len(value), len(v))
		}
	})
}

// sealFirst seals value as the first format did.
func sealFirst(s *sealer, name string, value []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	_, _ = crand.Read(nonce)
	return s.aeads[s.current].Seal(slices.Concat(s.header, nonce), nonce, value, associated(s.header, name))
}

// A store of the first format, whose values were sealed as they are, is read as ever, and has the present format from then on: a
// program of that time says that a newer one is needed.
func TestFirstFormat(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	fill(t, b, 3)
	mustClose(t, b)
	s := newTestSealer(t, cfg.Keys)
	raw(t, cfg.Dir, func(txn *badger.Txn) error {
		for key, change := range map[string]func([]byte) []byte{
			identityKey: func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":2`), []byte(`"format":1`), 1) },
			"t/000000":  bytes.Clone, "t/000001": bytes.Clone, "t/000002": bytes.Clone,
		} {
			sealed, err := sealedValue(txn, key)
			if err != nil {
				return err
			}
			value, err := s.open(key, sealed)
			if err != nil {
				return err
			}
			if err := txn.Set([]byte(key), sealFirst(s, key, change(value))); err != nil {
				return err
			}
		}
		return nil
	})
	for range 2 {
		b = mustOpen(t, cfg)
		if n := countAll(t, b, "t/"); n != 3 {
			t.Errorf("%d records, want 3", n)
		}
		err := b.View(t.Context(), func(tx Txn) error {
			v, err := tx.Get(identityKey)
			if err == nil && !strings.Contains(string(v), fmt.Sprintf(`"format":%d`, format)) {
				err = errors.New(string(v))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		mustClose(t, b)
	}
}

// What a program of the first format looks at before it says that it is too old is not squeezed.
func TestOlderProgramsCanTell(t *testing.T) {
	s := newTestSealer(t, newRing(t))
	for name, want := range map[string]byte{identityKey: sealPlain, noteName: sealPlain, "t/a": sealSqueezed} {
		if got := s.seal(nil, name, []byte(aRecord))[0]; got != want {
			t.Errorf("%s is sealed by version %d, want %d", name, got, want)
		}
	}
}
