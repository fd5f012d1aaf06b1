package driver

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The shapes of +CREG that ModemManager, gammu and others met (quirk Q49).
func TestRegistration(t *testing.T) {
	tests := []struct{ answer, want string }{
		{"0,1", "home"}, {"2,1,4CA,81DE445", "home"}, {`0,1,"5E25","605F",2`, "home"}, {"2,,", "unknown"},
		{`002,001,"18d8","ffff"`, "home"}, {"2,1,000B,2816, B, C2816", "home"}, {"2,1,  0 5, 2715", "home"}, {"5", "roaming"},
		{`11,"33FE","a3fb477"`, "none"}, {`5,"25FF","1F"`, "roaming"}, {"0,6", "home"}, {"0,7", "roaming"}, {"1,9", "home"}, {"1,10", "roaming"},
		{"0,2", "searching"}, {"0,3", "denied"}, {"0,0", "none"}, {"0,11", "none"}, {"0,8", "none"}, {"0,4", "unknown"}, {"", "unknown"}, {"x", "unknown"},
	}
	for _, tt := range tests {
		if got := registration(tt.answer); got != tt.want {
			t.Errorf("+CREG: %s is %q, want %q", tt.answer, got, tt.want)
		}
	}
}

func TestSignalAndOperator(t *testing.T) {
	for answer, want := range map[string]int{"0,99": -113, "31,99": -51, "20,99": -73, "99,99": 0, "32,0": 0, "": 0, "x": 0, "-1,0": 0} {
		if got := signal(answer); got != want {
			t.Errorf("+CSQ: %s is %d dBm, want %d", answer, got, want)
		}
	}
	for answer, want := range map[string]string{`0,0,"Vodafone",7`: "Vodafone", `0,0,"004F00320020002D0055004B"`: "O2 -UK", "0": "", `0,0,"`: ""} {
		if got := operator(answer); got != want {
			t.Errorf("+COPS: %s is %q, want %q", answer, got, want)
		}
	}
}

func TestUSSDText(t *testing.T) {
	tests := []struct{ line, want string }{
		{`+CUSD: 0,"Balance 5",15`, "Balance 5"},
		{`+CUSD: 1,"1 Menu",0`, "1 Menu"},
		{`+CUSD: 0,"00420061006C0061006E00630065",72`, "Balance"},
		{`+CUSD: 0,"0414043B044F",72`, "Для"},
		{`+CUSD: 0,"0414043B044F",17`, "Для"},
		{`+CUSD: 0,"00420061",15`, "Ba"},
		{`+CUSD: 0,"123456",15`, "123456"},
		{`+CUSD: 2,"Bye",15`, "Bye"},
		{`+CUSD:0,"no space"`, "no space"},
		{`+CUSD: 2`, "error"}, {`+CUSD: 4`, "error"}, {`+CUSD: 5`, "error"}, {`+CUSD: `, "error"}, {`+CUSD: x`, "error"},
	}
	for _, tt := range tests {
		got, err := ussdText(tt.line)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s is %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestCNMI(t *testing.T) {
	tests := []struct {
		listed string
		first  cnmi
	}{
		{"(0-3),(0-3),(0,2),(0,1),(0,1)", cnmi{2, 1, 0, 1, 0}},
		{"(0,1,2),(0,1),(0,2),(0),(1)", cnmi{2, 1, 0, 1, 0}}, // it lists no reports; asked all the same
		{"(2),(0-1,3),(0,2),(0-1),(0)", cnmi{2, 1, 0, 1, 0}},
		{"(1),(1),(2),(2),(1)", cnmi{2, 1, 0, 1, 0}},
		{"(1),(1),(2),(1),(1)", cnmi{1, 1, 2, 1, 1}},
		{"", cnmi{2, 1, 0, 1, 0}},
		{"(((,)-1),(9-),(a)", cnmi{2, 1, 0, 1, 0}},
	}
	for _, tt := range tests {
		ladder := cnmiLadder(parseRanges(tt.listed))
		if ladder[0] != tt.first {
			t.Errorf("%s: first %v, want %v", tt.listed, ladder[0], tt.first)
		}
		for i := 1; i < len(ladder); i++ {
			if dsRank(ladder[i][3]) < dsRank(ladder[i-1][3]) {
				t.Errorf("%s: %v comes after %v", tt.listed, ladder[i], ladder[i-1])
			}
		}
		if last := ladder[len(ladder)-1]; last[3] != 0 {
			t.Errorf("%s: the ladder ends with %v, not without reports", tt.listed, last)
		}
	}
	if diff := cmp.Diff([][]int{{0, 1, 2}, {1, 3}, nil}, parseRanges("(0-2),(1,3),()")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestIdentifiers(t *testing.T) {
	for s, want := range map[string]string{
		"+CCID: 8944100000000000001": "8944100000000000001", `"89441000000000000012"`: "89441000000000000012",
		"89441000000000000012F": "89441000000000000012", "123": "",
	} {
		if got := digits(s, 18, 20); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	if got := iccidOfFile(`+CRSM: 144,0,"984401000000000010F2"`); got != "8944100000000000012" {
		t.Errorf("ICCID of the file: %q", got)
	}
	if got := iccidOfFile("+CRSM: 106,130"); got != "" {
		t.Errorf("ICCID of a refusal: %q", got)
	}
	for _, pair := range [][2]string{{"490154203237518", "490154203237518"}, {"490154203237518", "4901542032375101"}, {"49015420323751", "490154203237518"}} {
		if !sameIMEI(pair[0], pair[1]) {
			t.Errorf("%v are one modem", pair)
		}
	}
	if sameIMEI("490154203237518", "490154203237618") || sameIMEI("", "") {
		t.Error("different modems are taken for one")
	}
	for rest, want := range map[string]string{` "SM",3`: "SM 3", ` "ME",0`: "ME 0", ` "SM",-1`: "SM -1", " 0,111": "0 111", " ": " -1", ` "SM",x`: "SM -1"} {
		mem, i := storedAt(rest)
		if got := fmt.Sprintf("%s %d", mem, i); got != want {
			t.Errorf("%q: %q, want %q", rest, got, want)
		}
	}
	for listed, want := range map[string][]string{
		`("SM","ME","SR"),("SM"),("SM")`: {"SM", "ME", "SR"}, `"ME","MT","SM"`: {"ME", "MT", "SM"}, `("ME","MT"),"ME",("SM")`: {"ME", "MT"},
		`(),(),()`: nil, `("SM", "ME", "SM_P")`: {"SM", "ME", "SM_P"},
	} {
		if diff := cmp.Diff(want, memories(listed)); diff != "" {
			t.Errorf("%s: -want +got\n%s", listed, diff)
		}
	}
}
