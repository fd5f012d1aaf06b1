package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
)

// PINMemory remembers on which SIMs a PIN was tried and not accepted, across restarts: a SIM is never locked by a wrong
// PIN in a file. A SIM is an ICCID, or "imei:…" of its modem when it tells none. Mark comes before the attempt and returns
// only once it is durable; Clear follows one that succeeded. All may be called from several modems at once.
type PINMemory interface {
	Tried(sim string) (bool, error)
	Mark(sim string) error
	Clear(sim string) error
}

// forgetful is a PINMemory for the life of the process.
type forgetful struct {
	mu    sync.Mutex
	tried map[string]bool
}

var _ PINMemory = (*forgetful)(nil)

func (m *forgetful) Tried(sim string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tried[sim], nil
}

func (m *forgetful) Mark(sim string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried[sim] = true
	return nil
}

func (m *forgetful) Clear(sim string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tried, sim)
	return nil
}

// PINFile is a PINMemory in a file: the hash of one SIM a line. Delete the file to have a corrected PIN tried.
type PINFile struct {
	path string
	mu   sync.Mutex
}

var _ PINMemory = (*PINFile)(nil)

// NewPINFile returns the memory at path; the file is made by the first Mark.
func NewPINFile(path string) *PINFile { return &PINFile{path: path} }

// Tried says whether Mark was called for this key. An unreadable file is an error, and then no PIN is tried.
func (m *PINFile) Tried(sim string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines, err := m.read()
	return slices.Contains(lines, keyOf(sim)), err
}

// Mark writes the key down, synced.
func (m *PINFile) Mark(sim string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines, err := m.read()
	if err != nil {
		return err
	}
	return m.write(append(lines, keyOf(sim)))
}

// Clear takes the mark away, synced.
func (m *PINFile) Clear(sim string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines, err := m.read()
	if err != nil {
		return err
	}
	return m.write(slices.DeleteFunc(lines, func(l string) bool { return l == keyOf(sim) }))
}

func (m *PINFile) write(lines []string) error {
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return fmt.Errorf("remember a tried SIM PIN: %w", err)
	}
	text := strings.Join(lines, "\n") + "\n"
	if err := renameio.WriteFile(m.path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("remember a tried SIM PIN: %w", err)
	}
	return nil
}

func (m *PINFile) read() ([]string, error) {
	b, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which SIM PINs were tried: %w", err)
	}
	return strings.Fields(string(b)), nil
}

func keyOf(sim string) string {
	sum := sha256.Sum256([]byte("otpost sim pin\x00" + sim))
	return hex.EncodeToString(sum[:16])
}

var (
	pinNamed  = regexp.MustCompile(`^(?:\+CPINR|\+QPINC): *"?(?:SIM PIN|SC)"? *, *([0-9]+)`)
	pinHuawei = regexp.MustCompile(`^\^CPIN: *"?SIM PIN"? *,(?: *[0-9]* *,){2} *([0-9]+)`) // state, times, PUK, PIN, PUK2, PIN2
	pinPlain  = regexp.MustCompile(`^(?:\+SPIC|#PCT): *([0-9]+)`)
)

// attempts reads how many PIN attempts are left out of a modem's answer; -1: it does not tell.
func attempts(lines []string) int {
	for _, l := range lines {
		for _, re := range []*regexp.Regexp{pinNamed, pinHuawei, pinPlain} {
			if m := re.FindStringSubmatch(l); m != nil {
				if n, err := strconv.Atoi(m[1]); err == nil {
					return n
				}
			}
		}
	}
	return -1
}
