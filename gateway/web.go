package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/fanfare-ws/fanfare/client"
)

// web is what speaks plain HTTP: the pages and /healthz on the public port, whose connections come
// through the door, and the ops port.
type web struct {
	gw     *Gateway
	conns  chan net.Conn // for public
	closed chan struct{}
	once   sync.Once
	public *http.Server
	ops    *http.Server
}

func newWeb(gw *Gateway) *web {
	w := &web{gw: gw, conns: make(chan net.Conn, 64), closed: make(chan struct{})}
	w.public = &http.Server{
		Handler: w.publicHandler(), ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
		MaxHeaderBytes: gw.cfg.Loop.MaxHeader,
	}
	// A connection carries one request: the next, on the same one, may be an upgrade, which is
	// for the door.
	w.public.SetKeepAlivesEnabled(false)
	w.ops = &http.Server{Handler: w.opsHandler(), ReadHeaderTimeout: 5 * time.Second}
	return w
}

// run starts both servers and returns what stops them.
func (w *web) run(tasks *sync.WaitGroup, failed chan<- error) (stop func()) {
	serve := func(s *http.Server, ln net.Listener) {
		tasks.Go(func() {
			if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("HTTP: %w", err)
			}
		})
	}
	serve(w.public, w)
	serve(w.ops, w.gw.cfg.Ops)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, s := range []*http.Server{w.public, w.ops} {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
		}
	}
}

// hand gives a connection to the public server. It never waits: one too many is closed.
func (w *web) hand(c net.Conn) {
	select {
	case w.conns <- c:
	default:
		c.Close()
	}
}

// Accept, Close and Addr make web the listener of the public server.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (w *web) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// Addr is the public address.
func (w *web) Addr() net.Addr { return w.gw.cfg.Public.Addr() }

func (w *web) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", healthz)
	upgrade := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Upgrade", "websocket")
		rw.Header().Set("Connection", "Upgrade")
		http.Error(rw, "this is a WebSocket endpoint: connect with ws:// or wss://", http.StatusUpgradeRequired)
	}
	for _, path := range []string{"/ws", "/ws/echo", "/ws/secure", chatPrefix + "x"} {
		if w.gw.routeOf(path) != noRoute {
			mux.HandleFunc(strings.Replace(path, "/x", "/{client_id}", 1), upgrade)
		}
	}
	if w.gw.page {
		mux.Handle("/", client.Handler())
	}
	return mux
}

func healthz(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(rw, "ok")
}
