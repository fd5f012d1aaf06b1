// Otpost is a self-hosted gateway for SMS one-time codes.
package main

func main() {}
