package gateway

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fanfare-ws/fanfare/gateway/protocol"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// opsHandler serves what is never for the public.
func (w *web) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.gw.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, r *http.Request) {
		if err := w.gw.ready(); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(rw, "ready")
	})
	mux.HandleFunc("POST /api/publish", w.gw.apiPublish)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// apiError is the body of an answer that is not 200.
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func answer(rw http.ResponseWriter, status int, body any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(body) // the peer may be gone
}

// apiTimeout bounds the wait for the broker.
const apiTimeout = 5 * time.Second

// apiPublish is POST /api/publish: `{"room":R,"data":D,"key":K}`, the key being optional, or
// `{"user":U,"data":D}`. It answers
// `{"offset":N}` or `{"instances":N}` once the broker has it.
func (gw *Gateway) apiPublish(rw http.ResponseWriter, r *http.Request) {
	if status, message := gw.apiAllowed(r); status != 0 {
		answer(rw, status, apiError{"forbidden", message})
		return
	}
	limit := int64(gw.cfg.Loop.MaxMessage)
	if limit < 0 {
		limit = math.MaxInt64
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, limit))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			answer(rw, http.StatusRequestEntityTooLarge, apiError{"too_large", fmt.Sprintf("a message has at most %d bytes", limit)})
		} else {
			answer(rw, http.StatusBadRequest, apiError{"bad_request", "the body did not arrive whole"})
		}
		return
	}
	m, err := apiMessage(body)
	if err != nil {
		answer(rw, http.StatusBadRequest, apiError{"bad_request", err.Error()})
		return
	}
	m.Origin.Instance, m.Origin.Sent = gw.instance, gw.now()
	type result struct {
		receipt pubsub.Receipt
		err     error
	}
	done := make(chan result, 1)
	gw.publish(m, func(r pubsub.Receipt, err error) { done <- result{r, err} })
	timeout := time.NewTimer(apiTimeout)
	defer timeout.Stop()
	var got result
	select {
	case got = <-done:
	case <-timeout.C:
		got.err = pubsub.ErrUnavailable
	case <-r.Context().Done():
		return
	}
	switch {
	case errors.Is(got.err, pubsub.ErrNoHistory):
		answer(rw, http.StatusBadRequest, apiError{"bad_request", "this room keeps no history, so a key cannot be kept"})
	case got.err != nil:
		gw.log.Debug("publishing for the API", "error", got.err)
		answer(rw, http.StatusServiceUnavailable, apiError{"unavailable", "the broker is away: try again"})
	case m.Target.User:
		answer(rw, http.StatusOK, map[string]int{"instances": got.receipt.Instances})
	case got.receipt.Position.Offset != 0:
		answer(rw, http.StatusOK, map[string]uint64{"offset": got.receipt.Position.Offset})
	default:
		answer(rw, http.StatusOK, struct{}{})
	}
}

// apiAllowed checks the key, or without one that the request comes from this machine.
func (gw *Gateway) apiAllowed(r *http.Request) (status int, message string) {
	if gw.cfg.APIKey != "" {
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(key), []byte(gw.cfg.APIKey)) != 1 {
			return http.StatusUnauthorized, "send the key of --api-key as Authorization: Bearer KEY"
		}
		return 0, ""
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return http.StatusForbidden, "without --api-key only this machine may publish"
	}
	// A page in a browser on this machine is not the backend.
	if r.Header.Get("Origin") != "" {
		return http.StatusForbidden, "without --api-key web pages may not publish"
	}
	return 0, ""
}

func apiMessage(body []byte) (m pubsub.Message, err error) {
	var in struct {
		Room string          `json:"room"`
		User string          `json:"user"`
		Data json.RawMessage `json:"data"`
		Key  string          `json:"key"`
	}
	if !utf8.Valid(body) { // encoding/json would let it through in data
		return m, errors.New("the body is to be UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return m, fmt.Errorf(`the body is to be {"room":…,"data":…,"key":…} or {"user":…,"data":…}: %w`, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return m, errors.New("the body is to be one JSON object")
	}
	switch {
	case (in.Room == "") == (in.User == ""):
		return m, errors.New("either room or user is needed")
	case len(in.Data) == 0:
		return m, errors.New("data is needed")
	case in.User != "":
		if len(in.User) > 255 {
			return m, errors.New("a user's name has at most 255 bytes")
		}
		m.Target = pubsub.User(in.User)
	default:
		if err := protocol.CheckRoom(in.Room); err != nil {
			return m, err
		}
		m.Target = pubsub.Room(in.Room)
	}
	if len(in.Key) > protocol.MaxKey || in.Key != "" && m.Target.User {
		return m, errors.New("a key has at most 255 bytes, and is for rooms")
	}
	m.Kind, m.Payload, m.Key = pubsub.JSON, in.Data, in.Key
	return m, nil
}
