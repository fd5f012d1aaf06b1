package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// triedPINs remembers in the store which SIMs were tried with their PIN, so that none is tried twice across restarts.
type triedPINs struct {
	kv      store.KV
	secrets *store.Secrets
}

var _ driver.PINMemory = triedPINs{}

// pinStoreTimeout bounds a look-up: the modem's loop must not hang on the store.
const pinStoreTimeout = 10 * time.Second

func (p triedPINs) key(iccid string) string {
	return "meta/sim-pin/" + p.secrets.Pseudonym("iccid", iccid)
}

// Tried tells whether the SIM's PIN was tried already.
func (p triedPINs) Tried(iccid string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pinStoreTimeout)
	defer cancel()
	err := p.kv.View(ctx, func(tx store.Txn) error {
		_, err := tx.Get(p.key(iccid))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("look up whether the SIM PIN was tried: %w", err)
	}
	return true, nil
}

// Mark notes, durably, that the SIM's PIN is about to be tried.
func (p triedPINs) Mark(iccid string) error {
	ctx, cancel := context.WithTimeout(context.Background(), pinStoreTimeout)
	defer cancel()
	err := p.kv.Update(ctx, func(tx store.Txn) error { return tx.Set(p.key(iccid), []byte("{}"), time.Time{}) })
	if err != nil {
		return fmt.Errorf("note that the SIM PIN is being tried: %w", err)
	}
	return nil
}

// Clear forgets a SIM whose PIN was right.
func (p triedPINs) Clear(iccid string) error {
	ctx, cancel := context.WithTimeout(context.Background(), pinStoreTimeout)
	defer cancel()
	if err := p.kv.Update(ctx, func(tx store.Txn) error { return tx.Delete(p.key(iccid)) }); err != nil {
		return fmt.Errorf("note that the SIM PIN was right: %w", err)
	}
	return nil
}
