package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// callPatience bounds how long call waits for an answer that fits.
const callPatience = 20 * time.Second

// call is the scripts' curl: call [-until text] METHOD path [body]. It prints the status and the body; with -until it
// repeats the request until the answer holds the text, or fails when that takes too long.
func call() {
	until := flag.String("until", "", "repeat until the answer holds this")
	flag.Parse()
	method, path, body := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	deadline := time.Now().Add(callPatience)
	for {
		answer, err := callOnce(method, os.Getenv("BASE")+path, body)
		if err == nil && strings.Contains(answer, *until) {
			fmt.Println(answer)
			return
		}
		if *until == "" || time.Now().After(deadline) {
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
