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

	"otpost/gateway/store"
)

// disk measures the disk: one file, 500 bytes appended and synced at a time.
type disk struct{ *os.File }

func (b *run) disk() (disk, error) {
	f, err := os.Create(filepath.Join(b.dir, "fsync"))
	return disk{f}, err
}

func (d disk) append(context.Context, int) error {
	if _, err := d.Write(make([]byte, yardRecord)); err != nil {
		return err
	}
	return d.Sync()
}

// commit makes one request to the yardstick.
func (c *caller) commit(ctx context.Context, _ int) error {
	var made struct{ ID string }
	return c.call(ctx, http.MethodPost, "/commit", body{"account": "bench", "purpose": "login"}, &made)
}

// The sizes of what the yardstick writes: what a login's challenge and its seal come to (the daemon squeezes them to half of
// that), and one of its counters.
const (
	yardRecord  = 500
	yardCounter = 128
)

// ServeYardstick serves the yardstick on listen until ctx is done: the least that a durable HTTP service of this make
// does. In it are the daemon's HTTP stack (net/http with the daemon's time limits, gorilla/mux, huma with its check of the
// body against a schema) and one synced commit a request to Badger under the daemon's options, of a record of the size of
// a challenge, an index entry and a counter. Badger itself syncs the commits of concurrent requests together, so 64
// clients do not wait for 64 syncs.
//
// Not in it is whatever makes a service of it: no key is looked up, nothing is read before it is written, nothing is
// sealed, queued, audited, logged or counted, and the answer is an id.
func ServeYardstick(ctx context.Context, dir, listen string) error {
	db, err := badger.Open(store.EngineOptions(dir, nil))
	if err != nil {
		return fmt.Errorf("open the yardstick's store: %w", err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	// The limits of package api.
	srv := &http.Server{Handler: yardHandler(db), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // ends Serve below
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}

// yardHandler is the yardstick on db, with huma set up as package api does it: without the pages and the links of its own.
func yardHandler(db *badger.DB) http.Handler {
	router := mux.NewRouter().SkipClean(true)
	cfg := huma.DefaultConfig("yardstick", "1")
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
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
	huma.Register(humamux.New(router, cfg), huma.Operation{Method: http.MethodPost, Path: "/commit"}, func(_ context.Context, in *request) (*answer, error) {
		out := &answer{}
		out.Body.ID = fmt.Sprint(time.Now().UnixNano())
		return out, db.Update(func(tx *badger.Txn) error {
			return errors.Join(
				tx.Set([]byte("c/"+out.Body.ID), make([]byte, yardRecord)),
				tx.Set([]byte("i/"+out.Body.ID), nil),
				tx.Set([]byte("n/"+out.Body.ID), make([]byte, yardCounter)))
		})
	})
	router.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return router
}
