// Settings → Authentication Methods → SMS → Enable, as a portal's backend does it.
//
//	export OTPOST_URL=http://127.0.0.1:8475 OTPOST_KEY=otp_live_…
//	go run portal.go client-4711 +447700900123
//
// Nothing but the standard library.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// refusal is application/problem+json (RFC 9457); its code never changes.
type refusal struct {
	Code         string `json:"code"`
	Title        string `json:"title"`
	Detail       string `json:"detail"`
	AttemptsLeft int    `json:"attempts_left"`
}

func (r *refusal) Error() string { return r.Code + ": " + r.Title + " " + r.Detail }

// portal is a portal's backend and the client before it.
type portal struct {
	base, key string
	http      *http.Client
	typed     *bufio.Scanner
}

// call makes one request. With an idempotency key it may be repeated: the second time it only gets the first answer again.
func (p *portal) call(method, path string, body any, idempotencyKey string, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		status, answer, err := p.once(method, path, b, idempotencyKey)
		switch {
		case err != nil && (idempotencyKey == "" || try == 3):
			return fmt.Errorf("no answer from Otpost: %w", err)
		case err != nil:
			continue
		case status >= 400:
			r := &refusal{}
			return errors.Join(json.Unmarshal(answer, r), r)
		case out == nil:
			return nil
		}
		return json.Unmarshal(answer, out)
	}
}

func (p *portal) once(method, path string, body []byte, idempotencyKey string) (int, []byte, error) {
	req, err := http.NewRequest(method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	req.Header.Set("Content-Type", "application/json")
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// ask returns what the client types; in a portal it comes from a form.
func (p *portal) ask(question string) (string, error) {
	fmt.Print(question)
	if !p.typed.Scan() {
		return "", errors.New("no input")
	}
	return strings.TrimSpace(p.typed.Text()), nil
}

func (p *portal) enable(account, phone string) error {
	path := "/v1/accounts/" + url.PathEscape(account)
	pin, err := p.ask("Choose a PIN: ")
	if err != nil {
		return err
	}
	if err := p.call("PUT", path+"/pin", map[string]string{"pin": pin}, "", nil); err != nil {
		return err
	}
	var challenge struct {
		Phone     string    `json:"phone"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	in := map[string]string{"phone": phone, "client_ip": "198.51.100.7"}
	if err := p.call("POST", path+"/sms/enable", in, rand.Text(), &challenge); err != nil {
		return err
	}
	fmt.Printf("A code is on its way to %s, valid until %s.\n", challenge.Phone, challenge.ExpiresAt)
	for {
		code, err := p.ask("Code: ")
		if err != nil {
			return err
		}
		var state struct {
			Grade int `json:"grade"`
		}
		err = p.call("POST", path+"/sms/enable/verify", map[string]string{"code": code, "pin": pin}, rand.Text(), &state)
		var r *refusal
		switch {
		case errors.As(err, &r) && r.Code == "verification-failed":
			fmt.Printf("The code or the PIN is wrong; %d attempts left.\n", r.AttemptsLeft)
		case err != nil:
			return err
		default:
			fmt.Printf("SMS codes are on; the grade of %s is %d.\n", account, state.Grade)
			return nil
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run portal.go <account> <phone>")
		os.Exit(2)
	}
	p := &portal{base: os.Getenv("OTPOST_URL"), key: os.Getenv("OTPOST_KEY"), http: &http.Client{Timeout: 15 * time.Second}, typed: bufio.NewScanner(os.Stdin)}
	if err := p.enable(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
