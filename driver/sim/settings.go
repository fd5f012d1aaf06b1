package sim

// settings is what AT commands change and ATZ, &F or a restart bring back.
type settings struct {
	echo, verbose, quiet bool
	s3, s4, s5           byte
	registers            map[string]int // other S-parameters
	cmee                 int
	textMode             bool
	charset              string
	show                 bool // +CSDH
	fo, vp, pid, dcs     int  // +CSMP
	vpText               string
	creg, cgreg, cereg   int
	copsFormat           int
	cmms                 int
	csms                 int
	cnmi                 [5]int
	service              int // +CGSMS
	values               map[string]string
}

// reset brings the settings of a fresh start.
func (m *Modem) reset() {
	m.set = settings{
		echo: m.kind.Echo, verbose: true, s3: '\r', s4: '\n', s5: bs, cmee: m.kind.CMEE,
		charset: m.kind.Charsets[0], fo: 17, vp: 167, cnmi: m.kind.CNMI.Default, csms: m.kind.Service,
		registers: map[string]int{}, values: map[string]string{},
	}
}

// echoing says whether what the host types is sent back.
func (m *Modem) echoing() bool { return m.set.echo || m.faults.echo }
