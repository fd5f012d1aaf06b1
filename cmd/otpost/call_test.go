package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// callPatience bounds how long call waits for an answer that fits.
const callPatience = 20 * time.Second

// call is the scripts' curl: call [-until pattern] [-fill n] METHOD path [body]. It prints the status and the body; with
// -until it repeats the request until the answer matches, or fails when that takes too long; -fill puts n digits for the @
// in the body.
func call() {
	pattern := flag.String("until", "", "repeat until the answer matches this")
	fill := flag.Int("fill", 0, "how many digits stand for @ in the body")
	flag.Parse()
	until := regexp.MustCompile(*pattern)
	method, path, body := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	if *fill > 0 {
		body = strings.Replace(body, "@", strings.Repeat("7", *fill), 1)
	}
	deadline := time.Now().Add(callPatience)
	for {
		answer, err := callOnce(method, os.Getenv("BASE")+path, body)
		if err == nil && until.MatchString(answer) {
			fmt.Println(answer)
			return
		}
		if *pattern == "" || time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%s %s: %v: %s\n", method, path, err, answer)
			os.Exit(1)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func callOnce(method, url, body string) (string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key := os.Getenv("KEY"); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := (&http.Client{Timeout: callPatience}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, b), err
}
