package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/dgraph-io/badger/v4"
	"github.com/gorilla/mux"
)

const (
	fsyncName     = "append and fsync 400 B"
	yardstickName = "bare synced commit, HTTP"
	sendName      = "send (login challenge)"
	carriedName   = "send and text on the phone"
	verifyName    = "verify (login)"
)

// fsync measures the disk: one file, 400 bytes appended and synced at a time.
func (b *run) fsync(ctx context.Context) error {
	f, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 400)
	r, err := measure(ctx, fsyncName, 1, b.Window, func(context.Context, int) error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		return err
	}
	b.rated(r)
	return nil
}

// yardstick measures the least that a durable HTTP service can do: a request in, one synced commit, an answer out.
func (b *run) yardstick(ctx context.Context) error {
	p, err := b.start(ctx, "yardstick", "bench", "--yardstick", filepath.Join(b.dir, "yardstick"))
	if err != nil {
		return err
	}
	defer p.stop()
	c := newCaller(p.base, "")
	for _, n := range clientCounts {
		before := p.cpu()
		r, err := measure(ctx, yardstickName, n, b.Window, func(ctx context.Context, client int) error {
			return c.call(ctx, http.MethodPost, "/commit", body{"account": "bench", "purpose": "login"}, nil)
		})
		if err != nil {
			return err
		}
		r.cost(p.cpu() - before)
		b.rated(r)
	}
	return nil
}

// ServeYardstick serves the yardstick on listen until ctx is done: the daemon's HTTP stack, and under it nothing but a
// commit of a record of the size of a challenge, an index entry and a counter.
func ServeYardstick(ctx context.Context, dir, listen string) error {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(true).WithLogger(nil).
		WithMemTableSize(8 << 20).WithNumMemtables(2).WithBaseTableSize(2 << 20).WithBaseLevelSize(8 << 20).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).WithValueLogFileSize(32 << 20).WithValueThreshold(64 << 10).
		WithBlockCacheSize(4 << 20).WithIndexCacheSize(4 << 20).WithNumCompactors(2))
	if err != nil {
		return fmt.Errorf("open the yardstick's store: %w", err)
	}
	router := mux.NewRouter()
	api := humamux.New(router, huma.DefaultConfig("yardstick", "1"))
	type request struct {
		Body struct {
			Account string `json:"account" maxLength:"128"`
			Purpose string `json:"purpose"`
		}
	}
	type answer struct {
		Body struct {
			ID string `json:"id"`
		}
	}
	huma.Register(api, huma.Operation{Method: http.MethodPost, Path: "/commit"}, func(_ context.Context, in *request) (*answer, error) {
		out := &answer{}
		out.Body.ID = fmt.Sprint(time.Now().UnixNano())
		err := db.Update(func(tx *badger.Txn) error {
			return errors.Join(tx.Set([]byte("c/"+out.Body.ID), make([]byte, 400)), tx.Set([]byte("i/"+out.Body.ID), nil), tx.Set([]byte("n/"+out.Body.ID), make([]byte, 24)))
		})
		return out, err
	})
	router.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	srv := &http.Server{Handler: router, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // ends Serve below
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}
