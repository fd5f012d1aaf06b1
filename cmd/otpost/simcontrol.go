package main

import (
	"context"
	"errors"

	"otpost/driver/sim"
)

func simControl(addr string, n *sim.Network) (func(context.Context) error, string, error) {
	return nil, "", errors.New("not yet")
}
