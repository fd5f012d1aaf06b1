package sim

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed personalities/*.yaml
var personalityFiles embed.FS

// Personality is how one kind of modem departs from the standards and from the others. It is data: a YAML file in the
// folder personalities, or one of the user's. In its lines {imei}, {imsi}, {iccid}, {number}, {model}, {rssi}, {ber} and
// {receive} (the memory for what arrives) stand for the modem's values.
type Personality struct {
	Name         string   `yaml:"name"`
	Source       string   `yaml:"source"`       // what it was made from
	Manufacturer string   `yaml:"manufacturer"` // +CGMI
	Model        string   `yaml:"model"`        // +CGMM
	Revision     string   `yaml:"revision"`     // +CGMR
	Info         []string `yaml:"info"`         // ATI
	TAC          string   `yaml:"tac"`          // the first 8 digits of the IMEI
	Access       int      `yaml:"access"`       // <AcT> of +COPS and +CREG: 0 GSM, 2 UTRAN, 7 E-UTRAN

	Prompt  string `yaml:"prompt"`  // how it asks for a message
	Unknown string `yaml:"unknown"` // the result of a command that it does not know
	Escape  string `yaml:"escape"`  // the result of ESC at the prompt
	CMEE    int    `yaml:"cmee"`    // after power-up
	Echo    bool   `yaml:"echo"`    // after power-up

	CNMI     CNMI     `yaml:"cnmi"`
	Memories []Memory `yaml:"memories"`
	Read     []string `yaml:"read"`     // mem1 of +CPMS
	Write    []string `yaml:"write"`    // mem2
	Receive  []string `yaml:"receive"`  // mem3
	Groups   int      `yaml:"groups"`   // of memories that +CPMS tells: 3, in old modems 2
	Phase2   bool     `yaml:"phase2"`   // +CSMS=1 is taken
	Service  int      `yaml:"service"`  // +CSMS? after power-up
	CSMS     string   `yaml:"csms"`     // +CSMS=?
	Charsets []string `yaml:"charsets"` // of +CSCS, the first after power-up; default: all

	CDSIMemory  string `yaml:"cdsi_memory"`  // what +CDSI claims, when it is not where the report is
	CPINNoOK    bool   `yaml:"cpin_no_ok"`   // +CPIN? is not followed by OK
	BlankLines  bool   `yaml:"blank_lines"`  // an empty line around +CMGS
	MemoryFull  string `yaml:"memory_full"`  // the line that tells of full storage
	SRPrefix    string `yaml:"sr_prefix"`    // junk before a status report read from SR
	CSMPRefused bool   `yaml:"csmp_refused"` // +CSMP= is ERROR
	CMMSCause   int    `yaml:"cmms_cause"`   // +CMMS= is refused with this CMS cause
	Link        int    `yaml:"link"`         // percent of the submit time that +CMMS saves
	Spaceless   bool   `yaml:"spaceless"`    // "+CREG:0,1" without the space

	Boot    []Line              `yaml:"boot"`    // after power-up, and what it waits for
	Chatter []Line              `yaml:"chatter"` // again and again, while it is registered
	Flood   []string            `yaml:"flood"`   // what the fault urc-flood says
	Quiet   string              `yaml:"quiet"`   // a command that ends the chatter, as AT^CURC=0 does
	Missing []string            `yaml:"missing"` // commands that it does not know
	Extra   map[string][]string `yaml:"extra"`   // commands of its own, with their lines: "+QCCID", "^ICCID?"
}

// CNMI lists what +CNMI takes, and which of the listed it refuses all the same.
type CNMI struct {
	Test    string `yaml:"test"`
	Mode    []int  `yaml:"mode"`
	MT      []int  `yaml:"mt"`
	BM      []int  `yaml:"bm"`
	DS      []int  `yaml:"ds"`
	BFR     []int  `yaml:"bfr"`
	Direct  []int  `yaml:"direct"` // modes in which mt 2 and 3 and ds 1 are taken; default: all
	Default [5]int `yaml:"default"`
}

// Memory is one message storage.
type Memory struct {
	Name string `yaml:"name"`
	Size int    `yaml:"size"`
	Base int    `yaml:"base"` // the first index
	Same string `yaml:"same"` // another name of that memory
}

// Line is something that a modem says by itself.
type Line struct {
	After time.Duration `yaml:"after"` // the pause before it
	Text  string        `yaml:"text"`
}

// Personalities are the names of those built in.
func Personalities() []string {
	files, err := fs.Glob(personalityFiles, "personalities/*.yaml")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	slices.Sort(files)
	return files
}

// LoadPersonality reads a personality by its name, or from a file when name ends in .yaml.
func LoadPersonality(name string) (*Personality, error) {
	if strings.HasSuffix(name, ".yaml") {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("personality: %w", err)
		}
		return parsePersonality(name, b)
	}
	b, err := personalityFiles.ReadFile("personalities/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("unknown personality %q: there are %s", name, strings.Join(Personalities(), ", "))
	}
	return parsePersonality(name, b)
}

func parsePersonality(name string, b []byte) (*Personality, error) {
	p := &Personality{Prompt: "\r\n> ", Unknown: "ERROR", Escape: "OK", Echo: true, Groups: 3, Charsets: charsets()}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("personality %s: %w", name, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("personality %s: %w", name, err)
	}
	return p, nil
}

func (p *Personality) check() error {
	if len(p.TAC) != 8 || strings.Trim(p.TAC, "0123456789") != "" {
		return errors.New("tac: want 8 digits")
	}
	switch {
	case p.Link < 0 || p.Link > 90:
		return errors.New("link: want a percentage from 0 to 90")
	case p.Groups != 2 && p.Groups != 3:
		return errors.New("groups: want 2 or 3")
	}
	for _, name := range p.Charsets {
		if !slices.Contains(charsets(), name) {
			return fmt.Errorf("charsets: %q is none of %s", name, strings.Join(charsets(), ", "))
		}
	}
	if !strings.Contains(p.Prompt, ">") {
		return errors.New("prompt: want a > in it")
	}
	for _, l := range [][]int{p.CNMI.Mode, p.CNMI.MT, p.CNMI.BM, p.CNMI.DS, p.CNMI.BFR} {
		if len(l) == 0 {
			return errors.New("cnmi: mode, mt, bm, ds and bfr each want at least one value")
		}
	}
	return p.checkMemories()
}

func (p *Personality) checkMemories() error {
	known := map[string]bool{}
	for _, mem := range p.Memories {
		if mem.Same == "" && (mem.Size < 1 || mem.Size > 1000) {
			return fmt.Errorf("memories: %s: want a size from 1 to 1000", mem.Name)
		}
		if mem.Same != "" && !known[mem.Same] {
			return fmt.Errorf("memories: %s: the same as %s, which does not stand before it", mem.Name, mem.Same)
		}
		known[mem.Name] = true
	}
	for _, l := range [][]string{p.Read, p.Write, p.Receive} {
		if len(l) == 0 {
			return errors.New("read, write and receive each want at least one memory")
		}
		for _, name := range l {
			if !known[name] {
				return fmt.Errorf("memory %q is not among memories", name)
			}
		}
	}
	return nil
}

func (p *Personality) unknownResult() result { return resultLine(p.Unknown) }
func (p *Personality) escResult() result     { return resultLine(p.Escape) }

// resultLine is a result as a personality writes it.
func resultLine(s string) result {
	if s == "OK" {
		return resultOK
	}
	return result{kind: s}
}

func (p *Personality) defaultMemories() [3]string {
	return [3]string{p.Read[0], p.Write[0], p.Receive[0]}
}

// fill puts the modem's values into a personality's line.
func (m *Modem) fill(line string) string {
	if !strings.Contains(line, "{") {
		return line
	}
	return strings.NewReplacer("{imei}", m.id.imei, "{imsi}", m.id.imsi, "{iccid}", m.id.iccid, "{number}", m.id.number,
		"{model}", m.kind.Model, "{rssi}", fmt.Sprint(m.radio.rssi), "{ber}", fmt.Sprint(m.radio.ber), "{receive}", m.route.memories[2]).Replace(line)
}

func (m *Modem) fillAll(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = m.fill(l)
	}
	return out
}
