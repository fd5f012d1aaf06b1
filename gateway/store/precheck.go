package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// The engine trusts its files as it opens: without its list of tables (MANIFEST) it deletes the tables, and one that is
// cut short ends the process. So they are looked at before it is let near them. Its own VerifyChecksum then reads the
// rest.

// precheck judges the engine's files in dir, and changes nothing.
func precheck(opt badger.Options) error {
	path := filepath.Join(opt.Dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return checkNew(opt.Dir)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, opt.ExternalMagicVersion, opt)
	if err != nil {
		return fmt.Errorf("%s is damaged (restore a backup): %w", path, err)
	}
	for id := range m.Tables {
		name := table.NewFilename(id, opt.Dir)
		if err := checkTable(name); err != nil {
			return fmt.Errorf("table %s is damaged (restore a backup): %w", name, err)
		}
	}
	return nil
}

// checkNew refuses a folder whose list of tables is gone.
func checkNew(dir string) error {
	for _, pattern := range []string{"*.sst", logPattern} {
		if names, _ := filepath.Glob(filepath.Join(dir, pattern)); len(names) > 0 { // the patterns are well-formed
			return fmt.Errorf("%s is missing though %s is there: put it back, or restore a backup",
				filepath.Join(dir, badger.ManifestFilename), names[0])
		}
	}
	return nil
}

var errFooter = errors.New("its end does not make sense; it was cut short or overwritten")

// checkTable verifies a table's index by the footer: index, its length (4 bytes), a checksum, its length (4 bytes).
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end := st.Size()
	tail := func(n int64) []byte { // the n bytes before end; nil if there are not as many
		if err == nil && n > end {
			err = errFooter
		}
		if err != nil {
			return nil
		}
		b := make([]byte, n)
		end -= n
		_, err = io.ReadFull(io.NewSectionReader(f, end, n), b)
		return b
	}
	sum := tail(length(tail(4)))
	index := tail(length(tail(4)))
	if err != nil {
		return err
	}
	expected, ok := parseChecksum(sum)
	if !ok {
		return errFooter
	}
	return y.VerifyChecksum(index, expected)
}

// length reads a length of the footer; a senseless one is more than any file has.
func length(b []byte) int64 {
	if len(b) != 4 {
		return 0
	}
	return int64(binary.BigEndian.Uint32(b))
}

// parseChecksum reads a protocol buffer of two optional numbers: 1, the algorithm, and 2, the sum.
func parseChecksum(b []byte) (*pb.Checksum, bool) {
	c := &pb.Checksum{}
	for len(b) > 0 {
		tag := b[0]
		v, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return nil, false
		}
		switch {
		case tag == 1<<3 && v <= uint64(pb.Checksum_XXHash64):
			c.Algo = pb.Checksum_Algorithm(v)
		case tag == 2<<3:
			c.Sum = v
		default:
			return nil, false
		}
		b = b[1+n:]
	}
	return c, true
}
