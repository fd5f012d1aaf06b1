package api

import (
	"context"
	"net/http"
	"time"

	"otpost/api/wire"
)

// MasterKeys tells about the keys of the key file. It may read the whole store.
type MasterKeys func(ctx context.Context, now time.Time) ([]wire.MasterKey, error)

func (s *Server) masterKeyCalls() {
	register(s, call{id: "list-master-keys", method: http.MethodGet, path: "/v1/master-keys", tag: "keys",
		summary: "List the master keys", about: "Which keys of the key file the daemon knows, and which of them are still needed. Never the keys themselves.",
		answer: wire.MasterKeys{Keys: []wire.MasterKey{{ID: "k1", PendingCodes: 2}, {ID: "k2", Current: true, SealsRecords: true, PendingCodes: 5}}}}, s.listMasterKeys)
}

func (s *Server) listMasterKeys(ctx context.Context, _ *struct{}) (*answer[wire.MasterKeys], error) {
	extendDeadlines(ctx, auditPatience)
	out := wire.MasterKeys{Keys: []wire.MasterKey{}}
	if s.cfg.MasterKeys == nil {
		return &answer[wire.MasterKeys]{out}, nil
	}
	all, err := s.cfg.MasterKeys(ctx, s.now())
	if err != nil {
		return nil, err
	}
	out.Keys = append(out.Keys, all...)
	return &answer[wire.MasterKeys]{out}, nil
}
