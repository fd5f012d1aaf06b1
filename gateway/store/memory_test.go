package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.KV { return store.NewMemory() })
}

func TestMemoryCollect(t *testing.T) {
	m := store.NewMemory()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := m.Update(t.Context(), func(tx store.Txn) error {
		for key, collect := range map[string]time.Time{"t/old": now.Add(-1), "t/now": now, "t/never": {}} {
			if err := tx.Set(key, nil, collect); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Collect(now)
	var left []string
	err = m.View(t.Context(), func(tx store.Txn) error {
		return tx.Scan(store.Range{}, func(key string, _ []byte) bool { left = append(left, key); return true })
	})
	if got := strings.Join(left, " "); got != "t/never t/now" || err != nil {
		t.Errorf("left are %q, %v", got, err)
	}
}

func TestSecrets(t *testing.T) {
	s := store.NewMemory().Secrets()
	same := store.NewMemory().Secrets()
	form := regexp.MustCompile(`^[a-z2-7]{26}$`)
	seen := map[string]string{}
	for _, in := range [][2]string{{"phone", "+447700900123"}, {"phone", "+447700900124"}, {"account", "+447700900123"},
		{"", "phone"}, {"phone", ""}, {"p", "hone"}, {"ph", "one"}} {
		p := s.Pseudonym(in[0], in[1])
		if !form.MatchString(p) {
			t.Errorf("pseudonym of %q is %q", in, p)
		}
		if p != same.Pseudonym(in[0], in[1]) {
			t.Errorf("pseudonym of %q is not stable", in)
		}
		if other, ok := seen[p]; ok {
			t.Errorf("%q and %s have the same pseudonym", in, other)
		}
		seen[p] = fmt.Sprint(in)
	}
	if a, b := s.Key("a"), s.Key("b"); len(a) != 32 || bytes.Equal(a, b) || !bytes.Equal(a, same.Key("a")) {
		t.Errorf("keys are %d bytes, equal %v, stable %v", len(a), bytes.Equal(a, b), bytes.Equal(a, same.Key("a")))
	}
}

func TestSecretsRedacted(t *testing.T) {
	s := store.NewMemory().Secrets()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", struct{ s *store.Secrets }{s})
		fmt.Fprintf(&out, verb+"\n", struct{ s store.Secrets }{*s})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "secrets", s)
	if err := json.NewEncoder(&out).Encode(s); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"the tests'", "74686520746573747327", "116 104 101"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("found %q in\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), "store.Secrets(redacted)") {
		t.Error("nothing was printed at all")
	}
}
