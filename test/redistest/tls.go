package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TLS is what servers need that talk nothing else: a certificate for 127.0.0.1, which is its own
// authority. A nil *TLS is none: its servers talk plain TCP.
type TLS struct {
	// CAFile holds the authority as PEM.
	CAFile string
	// Config is that of clients that trust it.
	Config *tls.Config

	key string // file
}

// NewTLS makes a certificate whose files are gone when the test ends.
func NewTLS(t testing.TB) *TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	dir := t.TempDir()
	sec := &TLS{CAFile: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	check(t, os.WriteFile(sec.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	check(t, os.WriteFile(sec.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	sec.Config = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return sec
}

// config of a client of a server.
func (sec *TLS) config() *tls.Config {
	if sec == nil {
		return nil
	}
	return sec.Config.Clone()
}

// scheme of a server's URL.
func (sec *TLS) scheme() string {
	if sec == nil {
		return "redis"
	}
	return "rediss"
}

// listen is the arguments with which a server listens on a port.
func (sec *TLS) listen(port string) []string {
	if sec == nil {
		return []string{"--port", port, "--bind", "127.0.0.1"}
	}
	return []string{"--port", "0", "--tls-port", port, "--bind", "127.0.0.1",
		"--tls-cert-file", sec.CAFile, "--tls-key-file", sec.key, "--tls-ca-cert-file", sec.CAFile,
		"--tls-auth-clients", "no", "--tls-replication", "yes"}
}
