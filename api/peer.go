package api

import (
	"context"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a unix socket, as the kernel names it.
type peer struct{ uid, own uint32 }

func (p peer) name() string { return strconv.FormatUint(uint64(p.uid), 10) }

type peerKey struct{}

// peerOf returns who is at the other end of the unix socket that a request came by.
func peerOf(ctx context.Context) (peer, bool) {
	p, ok := ctx.Value(peerKey{}).(peer)
	return p, ok
}

// markPeer notes the peer of a unix socket (SO_PEERCRED, unix(7)). A peer that cannot be named is not marked, and then
// needs a key.
func markPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	err = raw.Control(func(fd uintptr) {
		if got, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			cred = got
		}
	})
	if err != nil || cred == nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peer{uid: cred.Uid, own: uint32(os.Geteuid())})
}
