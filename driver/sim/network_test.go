package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCodeOf(t *testing.T) {
	for text, want := range map[string]string{
		"Your code: 123456. Valid 5 min.":             "123456",
		"Your code: 123 456. Valid 5 min.":            "123456",
		"12 34 56 is your code":                       "123456",
		"123456":                                      "123456",
		"code 0123456789":                             "0123456789",
		"code 01234567890":                            "",
		"code 12345":                                  "",
		"call +447700900123":                          "",
		"Pay 1500.00 EUR to X: 654321":                "654321",
		"Pay 1234567.50 EUR":                          "",
		"654321 for 1234567.50 EUR":                   "654321",
		"first 111111 then 222222":                    "222222",
		"Your code is 123456 5 min":                   "123456",
		"order AB123456":                              "",
		"123456th":                                    "",
		"order-1234567":                               "",
		"验证码123456，请勿泄露":                              "123456",
		"G-123456":                                    "",
		"Your code: 123456.\n@portal.example #123456": "123456",
		"(123456)":                                    "123456",
		"":                                            "",
		"no digits here":                              "",
		"Code 482913, valid until 12:30":              "482913",
		"https://example.com/1234567":                 "",
		"1 2 3 4 5 6":                                 "",
		"Transfer 250 EUR to 12 34: 778 899. Never share it.":    "778899",
		"Your code to turn on SMS security codes: 000000. Valid": "000000",
	} {
		if got := codeOf(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestMagicNumbers checks that each documented ending does something else than plain success.
func TestMagicNumbers(t *testing.T) {
	for last, want := range map[string]Fault{
		"99038": {Kind: CMSError, Cause: 38}, "99500": {Kind: CMSError, Cause: 500}, "99021": {Kind: CMSError, Cause: 21},
		"98001": {Kind: Slow}, "98002": {Kind: NoReport}, "98003": {Kind: FailedReport}, "98004": {Kind: LostResult},
		"98005": {Kind: DuplicateReport}, "98006": {Kind: Delayed}, "98007": {Kind: LateReport}, "98008": {Kind: LateResult},
		"98009": {Kind: LostPort}, "98010": {Kind: Lose},
	} {
		got, ok := Magic("+4477009" + last)
		if !ok || got.Kind != want.Kind || want.Cause != 0 && got.Cause != want.Cause || got.At == Now {
			t.Errorf("%s: got %+v, %v", last, got, ok)
		}
	}
	for _, number := range []string{"+447700900123", "99038", "+447700998000", "+447700999000", "+447700997001", "+447700998011", ""} {
		if f, ok := Magic(number); ok {
			t.Errorf("%s orders %+v", number, f)
		}
	}
}

func TestMagicNumbersAtWork(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		if got := h.send(pdus(t, "+44770099038", "hi")[0]); got[0] != "+CMS ERROR: 38" {
			t.Errorf("refused: got %q", got)
		}
		if got := h.send(pdus(t, "+44770098004", "hi")[0]); got != nil {
			t.Errorf("no answer: got %q", got)
		}
		h.sent(1)
		if got := h.send(pdus(t, "+44770098001", "hi")[0]); got != nil {
			t.Errorf("slow: got %q", got)
		}
		if got := lines(h.raw(10 * time.Second)); len(got) != 2 || !strings.HasPrefix(got[0], "+CMGS: ") {
			t.Errorf("slow: got %q", got)
		}
	})
	bubble(t, Config{Network: NewNetwork(NetworkConfig{NoMagic: true})}, func(t *testing.T, h *host) {
		if got := h.send(pdus(t, "+44770099038", "hi")[0]); !strings.HasPrefix(got[0], "+CMGS: ") {
			t.Errorf("without magic: got %q", got)
		}
	})
}

func TestInboxIsBounded(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		for range keepMessages + 20 {
			h.send(helloPDU)
		}
		if n := len(h.m.net.Messages(Filter{})); n != keepMessages {
			t.Errorf("kept %d messages", n)
		}
		time.Sleep(keepFor)
		if n := len(h.m.net.Messages(Filter{})); n != 0 {
			t.Errorf("kept %d messages for a day", n)
		}
	})
}

func TestWait(t *testing.T) {
	bubble(t, Config{SubmitTime: time.Second}, func(t *testing.T, h *host) {
		h.order(Fault{Kind: Delayed, Delay: 5 * time.Second})
		start := time.Now()
		done := make(chan []Message, 1)
		go func() {
			m, err := h.m.net.Wait(context.Background(), Filter{To: "+47709000213"})
			if err != nil {
				t.Error(err)
			}
			done <- m
		}()
		h.send(helloPDU)
		m := <-done
		if len(m) != 1 || time.Since(start).Truncate(time.Second) != 6*time.Second {
			t.Errorf("got %+v after %v", m, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := h.m.net.Wait(ctx, Filter{AfterID: m[0].ID}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing more: %v", err)
		}
	})
}

func TestSeveralModemsShareANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(NetworkConfig{})
		one := connect(t, Config{Name: "one", Network: n})
		two := connect(t, Config{Name: "two", Network: n})
		if _, err := New(Config{Name: "two", Network: n, NoPTY: true, Seed: 99}); err == nil {
			t.Error("two modems of one name")
		}
		if _, err := New(Config{Name: "three", Number: one.m.Number(), Network: n, NoPTY: true}); err == nil {
			t.Error("two modems of one number")
		}
		for _, h := range []*host{one, two} {
			h.say("ATE0")
			h.send(helloPDU)
		}
		var from []string
		for _, m := range n.Messages(Filter{To: "+47709000213"}) {
			from = append(from, m.Modem+" "+m.From)
		}
		if diff := cmp.Diff([]string{"two " + two.m.Number(), "one " + one.m.Number()}, from); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := n.AddFault(Fault{Kind: Silence, Modem: "one"}); err != nil {
			t.Fatal(err)
		}
		one.want("AT")
		two.want("AT", "OK")
		if err := n.Text("+447700900456", "", "for whom?"); !errors.Is(err, ErrNoModem) {
			t.Errorf("to nobody in particular: %v", err)
		}
		if err := n.Text("+447700900456", two.m.Number(), "hi"); err != nil {
			t.Error(err)
		}
		two.want("AT+CPMS?", `+CPMS: "SM",1,20,"SM",1,20,"SM",1,20`, "OK")
	})
}

func TestBadTexts(t *testing.T) {
	n := NewNetwork(NetworkConfig{})
	for _, tt := range [][2]string{{"", "x"}, {"+44", ""}, {strings.Repeat("1", 21), "x"}, {"+44", strings.Repeat("x", 10_001)}} {
		if err := n.Text(tt[0], "", tt[1]); !errors.Is(err, ErrBadText) {
			t.Errorf("%q: got %v", tt[0], err)
		}
	}
}

func TestIdentitiesDiffer(t *testing.T) {
	kind, err := LoadPersonality("generic")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]uint64{}
	for seed := range uint64(1000) {
		id := newIdentity(seed, kind, "")
		for _, v := range []string{id.imei, id.imsi, id.iccid, id.number} {
			if other, ok := seen[v]; ok {
				t.Fatalf("seeds %d and %d share %s", seed, other, v)
			}
			seen[v] = seed
		}
		if got := fmt.Sprint(len(id.imei), len(id.imsi), len(id.iccid)); got != "15 15 19" {
			t.Fatalf("seed %d: lengths %s", seed, got)
		}
	}
}
