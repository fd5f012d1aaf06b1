package api

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// A token is tokenPrefix, 32 random characters of base 62 (190 bits) and a check of 6: letters, digits and underscores,
// so that a double click selects it, leak scanners find it, and a typing error is told from a revoked key. The check
// proves nothing about who made it.
const (
	tokenPrefix = "otp_live_"
	tokenRandom = 32
	tokenCheck  = 6
	tokenLength = len(tokenPrefix) + tokenRandom + tokenCheck
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newToken draws a token from random, each character uniformly.
func newToken(random io.Reader) (string, error) {
	var b strings.Builder
	b.WriteString(tokenPrefix)
	buf := make([]byte, 64)
	for b.Len() < len(tokenPrefix)+tokenRandom {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("draw a key: %w", err)
		}
		for _, c := range buf {
			if c < 248 && b.Len() < len(tokenPrefix)+tokenRandom { // 248 = 4*62: no character is likelier
				b.WriteByte(base62[c%62])
			}
		}
	}
	return b.String() + checksum(b.String()), nil
}

// checksum is CRC-32 (IEEE) of body in base 62, padded to tokenCheck characters.
func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	out := make([]byte, tokenCheck)
	for i := tokenCheck - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out)
}

// wellFormed says whether token could be one of ours, without looking anything up.
func wellFormed(token string) bool {
	if len(token) != tokenLength || !strings.HasPrefix(token, tokenPrefix) {
		return false
	}
	for _, c := range []byte(token[len(tokenPrefix):]) {
		if strings.IndexByte(base62, c) < 0 {
			return false
		}
	}
	body, check := token[:len(token)-tokenCheck], token[len(token)-tokenCheck:]
	return checksum(body) == check
}

// hashToken is what is stored of a token. It has 190 random bits, so a plain hash cannot be searched backwards.
func hashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
