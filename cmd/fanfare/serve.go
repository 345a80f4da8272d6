package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
)

// serve runs a gateway until ctx ends.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	if err := o.read(args, os.Environ(), stdout); err != nil {
		return err
	}
	log := newLogger(&o, stderr)
	registry := prometheus.NewRegistry()
	cfg, err := wire(&o, log, registry)
	if err != nil {
		return err
	}
	if cfg.Public, cfg.Ops, err = listen(&o); err != nil {
		return err
	}
	gw, err := gateway.New(cfg, registry)
	if err != nil {
		cfg.Public.Close()
		cfg.Ops.Close()
		return err
	}
	logStart(log, &o, cfg.Public.Addr(), cfg.Ops.Addr())
	announce(stdout, &o, shown(cfg.Public.Addr()), shown(cfg.Ops.Addr()))
	return gw.Run(ctx)
}

// announce says where to look.
func announce(w io.Writer, o *options, public, ops string) {
	secure := ""
	if o.TLSCert != "" {
		secure = "s"
	}
	if slices.Contains(o.Serve, "page") {
		fmt.Fprintf(w, "page   http%s://%s/\n", secure, public)
	}
	for _, at := range []struct{ serve, path string }{
		{"fanfare", "/ws"}, {"chat", "/ws/chat/{client_id}"}, {"echo", "/ws/echo"}, {"secure", "/ws/secure"},
	} {
		if slices.Contains(o.Serve, at.serve) {
			fmt.Fprintf(w, "socket ws%s://%s%s\n", secure, public, at.path)
			break
		}
	}
	fmt.Fprintf(w, "ops    http://%s/\n", ops)
}

// wire makes the parts that the options ask for and reports all that cannot be.
func wire(o *options, log *slog.Logger, registry *prometheus.Registry) (gateway.Config, error) {
	var errs []error
	cfg := gateway.Config{
		Name: o.Name, Version: buildVersion(), Logger: log,
		Credentials:    auth.Finder{SessionCookie: o.SessionCookie, TokenParam: o.TokenParam},
		RejectHTTP:     o.Reject == "http",
		APIKey:         o.APIKey,
		TrustedProxies: o.TrustedProxies,
		Serve:          o.Serve,
		Deflate:        o.Compression == "deflate",
		MaxRooms:       o.MaxRooms, Rate: o.Rate, Burst: o.Burst, Drain: o.Drain, DrainDelay: o.DrainDelay,
		Loop: loop.Config{
			Transport:  loop.Transport(o.Transport),
			MaxMessage: int(o.MaxMessage), MaxHeader: int(o.MaxHeader), MaxSockets: o.MaxSockets,
			SlowLimit: int(o.SlowLimit), SlowSkip: o.Slow == "skip",
			HandshakeTimeout: o.HandshakeTimeout, Ping: o.Ping, Idle: o.Idle,
		},
	}
	var err error
	cfg.Origins, err = auth.NewOrigins(o.Origins)
	errs = append(errs, err)
	if slices.Contains(o.Auth, "jwt") {
		jwt, err := auth.NewJWT(auth.JWTConfig{Key: o.JWTKey, KeyFile: o.JWTKeyFile, Audience: o.JWTAudience, Issuer: o.JWTIssuer})
		errs = append(errs, err)
		if err == nil {
			cfg.Auth = jwt
			if jwt.WeakKey() {
				log.Warn("--jwt-key is shorter than 32 bytes: fit for development only")
			}
		}
	}
	kept := append(o.Rooms, pubsub.Retention{Match: "*", History: o.History, TTL: o.HistoryTTL})
	if o.Redis == "" {
		cfg.Broker = memory.New(memory.Config{Retentions: kept})
	} else {
		cfg.Broker, err = redis.New(redis.Config{
			URL: o.Redis, Prefix: o.RedisPrefix, Partitions: o.RedisPartitions, AckReplicas: o.AckReplicas, Name: cfg.Name,
			Retentions: kept, Logger: log, Registerer: registry,
		})
		errs = append(errs, err)
	}
	return cfg, errors.Join(errs...)
}

// certificate is that of --tls-cert, or none.
func certificate(o *options) (cert tls.Certificate, err error) {
	if o.TLSCert != "" {
		if cert, err = tls.LoadX509KeyPair(o.TLSCert, o.TLSKey); err != nil {
			err = fmt.Errorf("--tls-cert: %w", err)
		}
	}
	return cert, err
}

// listen opens both ports.
func listen(o *options) (public, ops net.Listener, err error) {
	cert, err := certificate(o)
	if err != nil {
		return nil, nil, err
	}
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // sockets on it cost more, and no browser speaks it
	if public, err = plain.Listen(context.Background(), "tcp", o.Listen); err != nil {
		return nil, nil, fmt.Errorf("--listen: %w", err)
	}
	if ops, err = net.Listen("tcp", o.Ops); err != nil {
		public.Close()
		return nil, nil, fmt.Errorf("--ops: %w", err)
	}
	if o.TLSCert != "" {
		public = tls.NewListener(public, &tls.Config{
			Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}
	return public, ops, nil
}

// shown is an address as one can open it.
func shown(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return a.String()
}

func newLogger(o *options, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // was checked
	h := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}
