package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// The stream of a backup, inside its encryption: a line of JSON (streamHead), then each record as
//
//	length of the key (uvarint, not 0), key, collect time (varint: Unix nanoseconds, 0: never), length of the value
//	(uvarint), value
//
// then a 0, the number of records (uvarint), and the SHA-256 of all before it. Nothing may follow.
const (
	streamFormat = 1
	maxHead      = 4 << 10
	maxValue     = 4 << 20
)

var errStream = errors.New("the backup is damaged")

type streamHead struct {
	Format  int       `json:"otpost_backup"`
	Created time.Time `json:"created"`
}

// streamWriter writes a stream.
type streamWriter struct {
	w       *bufio.Writer
	sum     hash.Hash
	scratch []byte
	records uint64
}

func newStreamWriter(w io.Writer, created time.Time) (*streamWriter, error) {
	sum := sha256.New()
	s := &streamWriter{w: bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10), sum: sum}
	head, err := json.Marshal(streamHead{Format: streamFormat, Created: created.UTC()})
	if err != nil {
		return nil, err
	}
	_, err = s.w.Write(append(head, '\n'))
	return s, err
}

func (s *streamWriter) record(key string, rec record) error {
	b := binary.AppendUvarint(s.scratch[:0], uint64(len(key)))
	b = append(b, key...)
	at := int64(0)
	if !rec.collect.IsZero() {
		at = rec.collect.UnixNano()
	}
	b = binary.AppendVarint(b, at)
	b = binary.AppendUvarint(b, uint64(len(rec.value)))
	s.scratch = append(b, rec.value...)
	s.records++
	_, err := s.w.Write(s.scratch)
	return err
}

// end writes the trailer.
func (s *streamWriter) end() error {
	b := binary.AppendUvarint([]byte{0}, s.records)
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.w.Write(s.sum.Sum(nil)); err != nil {
		return err
	}
	return s.w.Flush()
}

// streamReader reads a stream. What it returns may be trusted only once next has returned io.EOF.
type streamReader struct {
	r       *bufio.Reader
	sum     hash.Hash
	head    streamHead
	records uint64
}

func newStreamReader(r io.Reader) (*streamReader, error) {
	s := &streamReader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	line, err := s.r.ReadSlice('\n')
	if err != nil || len(line) > maxHead {
		return nil, damaged(err, "its head")
	}
	s.sum.Write(line)
	dec := json.NewDecoder(bytes.NewReader(line))
	if err := dec.Decode(&s.head); err != nil || s.head.Format == 0 {
		return nil, damaged(err, "its head")
	}
	if s.head.Format != streamFormat {
		return nil, fmt.Errorf("the backup has format %d, this program knows %d", s.head.Format, streamFormat)
	}
	return s, nil
}

// damaged says what could not be read. The reader's own error matters: it may be the decryption's.
func damaged(err error, what string) error {
	if err == nil || err == bufio.ErrBufferFull {
		return fmt.Errorf("%w: %s makes no sense", errStream, what)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %s: %w", errStream, what, err)
}

// ReadByte reads one byte of what the sum covers.
func (s *streamReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
	}
	return b, err
}

func (s *streamReader) bytes(n uint64, limit int) ([]byte, error) {
	if n > uint64(limit) {
		return nil, fmt.Errorf("%d bytes are more than %d", n, limit)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.r, b)
	s.sum.Write(b)
	return b, err
}

// next returns the next record, or io.EOF after a sound end.
func (s *streamReader) next() (string, record, error) {
	n, err := binary.ReadUvarint(s)
	if err != nil {
		return "", record{}, damaged(err, "a record")
	}
	if n == 0 {
		return "", record{}, s.end()
	}
	key, err := s.bytes(n, maxKey)
	if err != nil {
		return "", record{}, damaged(err, "a record's key")
	}
	if err := checkKey(string(key)); err != nil {
		return "", record{}, damaged(err, "a record's key")
	}
	at, err := binary.ReadVarint(s)
	if err != nil {
		return "", record{}, damaged(err, "a record's time")
	}
	if n, err = binary.ReadUvarint(s); err != nil {
		return "", record{}, damaged(err, "a record's value")
	}
	rec := record{}
	if rec.value, err = s.bytes(n, maxValue); err != nil {
		return "", record{}, damaged(err, "a record's value")
	}
	if at != 0 {
		rec.collect = time.Unix(0, at)
	}
	s.records++
	return string(key), rec, nil
}

// end checks the trailer, and that nothing follows. Reading to the very end also makes the decryption check its end.
func (s *streamReader) end() error {
	n, err := binary.ReadUvarint(s)
	if err != nil || n != s.records {
		return damaged(err, "the number of its records")
	}
	want := s.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.r, got); err != nil || !bytes.Equal(got, want) {
		return damaged(err, "its checksum")
	}
	if _, err := s.r.ReadByte(); err != io.EOF {
		return damaged(err, "what follows its end")
	}
	return io.EOF
}
