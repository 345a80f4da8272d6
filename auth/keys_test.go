package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The keys of all tests: made once, since RSA takes its time.
var keys = sync.OnceValue(func() (k struct {
	rsa, rsa2, small *rsa.PrivateKey
	p256, p384       *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
}) {
	var err [6]error
	k.rsa, err[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsa2, err[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.small, err[2] = rsa.GenerateKey(rand.Reader, 1024)
	k.p256, err[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, err[4] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, k.ed, err[5] = ed25519.GenerateKey(rand.Reader)
	if err != [6]error{} {
		panic(fmt.Sprint(err))
	}
	return k
})

func block(typ string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
}

func private(key crypto.Signer) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return block("PRIVATE KEY", der, err)
}

func public(key crypto.Signer) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return block("PUBLIC KEY", der, err)
}

func certificate(key crypto.Signer) string {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	return block("CERTIFICATE", der, err)
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryKindOfKeyFile(t *testing.T) {
	k := keys()
	sec1, err := x509.MarshalECPrivateKey(k.p256)
	for name, c := range map[string]struct {
		content string
		signer  crypto.Signer
	}{
		"RSA public":        {public(k.rsa), k.rsa},
		"RSA public, old":   {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey), nil), k.rsa},
		"RSA private":       {private(k.rsa), k.rsa},
		"RSA private, old":  {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa), nil), k.rsa},
		"RSA certificate":   {certificate(k.rsa), k.rsa},
		"EC public":         {public(k.p256), k.p256},
		"EC private":        {private(k.p256), k.p256},
		"EC private, old":   {block("EC PARAMETERS", []byte{6, 0}, nil) + block("EC PRIVATE KEY", sec1, err), k.p256},
		"Ed25519 public":    {public(k.ed), k.ed},
		"Ed25519 private":   {private(k.ed), k.ed},
		"two, the second":   {"a comment\n" + public(k.rsa2) + public(k.rsa), k.rsa},
		"one of each, EC":   {public(k.rsa) + public(k.p256) + public(k.ed), k.p256},
		"one of each, Ed":   {public(k.rsa) + public(k.p256) + public(k.ed), k.ed},
		"one of each, RSA2": {public(k.rsa) + public(k.p256) + public(k.rsa2), k.rsa2},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJWT(t, JWTConfig{KeyFile: file(t, c.content)})
			token, err := MintWithKeyFile(file(t, private(c.signer)), Claims{User: "u", Now: atNoon})
			if err != nil {
				t.Fatal(err)
			}
			if id, err := j.Authenticate(context.Background(), Credential{token, Bearer}); err != nil || id.User != "u" {
				t.Errorf("got %+v, %v", id, err)
			}
			if j.WeakKey() {
				t.Error("a public key is called weak")
			}
		})
	}
}

func TestKeysAreNotConfused(t *testing.T) {
	k := keys()
	payload := fmt.Sprintf(`{"sub":"root","exp":%d}`, in(time.Hour))
	pub := public(k.rsa)
	block, _ := pem.Decode([]byte(pub))
	rs := newJWT(t, JWTConfig{KeyFile: file(t, pub)})
	both := newJWT(t, JWTConfig{Key: secret, KeyFile: file(t, pub)})
	for _, j := range []*JWT{rs, both} {
		for _, guess := range [][]byte{[]byte(pub), []byte(strings.TrimSpace(pub)), block.Bytes, x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey), {}} {
			refuse(t, j, sign(t, jwt.SigningMethodHS256, guess, `{"alg":"HS256"}`, payload), ErrInvalid)
		}
		refuse(t, j, sign(t, jwt.SigningMethodRS256, k.rsa2, `{"alg":"RS256"}`, payload), ErrInvalid)
		refuse(t, j, sign(t, jwt.SigningMethodRS512, k.rsa, `{"alg":"RS512"}`, payload), ErrInvalid)
		refuse(t, j, sign(t, jwt.SigningMethodPS256, k.rsa, `{"alg":"PS256"}`, payload), ErrInvalid)
		refuse(t, j, sign(t, jwt.SigningMethodES256, k.p256, `{"alg":"ES256"}`, payload), ErrInvalid)
		refuse(t, j, sign(t, jwt.SigningMethodRS256, k.rsa2,
			`{"alg":"RS256","jku":"http://127.0.0.1/","jwk":{"kty":"RSA"},"kid":"../../dev/null"}`, payload), ErrInvalid)
		refuse(t, j, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, `{"alg":"none"}`, payload), ErrInvalid)
	}
	refuse(t, rs, sign(t, jwt.SigningMethodHS256, []byte(secret), `{"alg":"HS256"}`, payload), ErrInvalid)
	hs := newJWT(t, JWTConfig{Key: secret})
	refuse(t, hs, sign(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"RS256"}`, payload), ErrInvalid)
	for _, c := range []Credential{{hs256(t, payload), Bearer}, {sign(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"RS256"}`, payload), Bearer}} {
		if _, err := both.Authenticate(context.Background(), c); err != nil {
			t.Errorf("with both keys: %v", err)
		}
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	k := keys()
	encrypted := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	for name, c := range map[string]struct {
		config JWTConfig
		hint   string
	}{
		"none":             {JWTConfig{}, "needs a key"},
		"PEM as a secret":  {JWTConfig{Key: public(k.rsa)}, "key file"},
		"missing file":     {JWTConfig{KeyFile: filepath.Join(t.TempDir(), "no")}, "no such file"},
		"missing, and PEM": {JWTConfig{Key: public(k.rsa), KeyFile: filepath.Join(t.TempDir(), "no")}, "\n"},
		"empty file":       {JWTConfig{KeyFile: file(t, "")}, "no PEM block"},
		"secret in a file": {JWTConfig{KeyFile: file(t, secret)}, "no PEM block"},
		"broken":           {JWTConfig{KeyFile: file(t, block("PUBLIC KEY", []byte("x"), nil))}, "asn1"},
		"CSR":              {JWTConfig{KeyFile: file(t, block("CERTIFICATE REQUEST", []byte("x"), nil))}, "is no key"},
		"encrypted":        {JWTConfig{KeyFile: file(t, encrypted)}, "encrypted"},
		"encrypted PKCS 8": {JWTConfig{KeyFile: file(t, block("ENCRYPTED PRIVATE KEY", []byte("x"), nil))}, "encrypted"},
		"small RSA":        {JWTConfig{KeyFile: file(t, public(k.small))}, "1024 bits"},
		"P-384":            {JWTConfig{KeyFile: file(t, public(k.p384))}, "P-384"},
		"one of two":       {JWTConfig{KeyFile: file(t, public(k.rsa)+public(k.p384))}, "P-384"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewJWT(c.config); err == nil || !strings.Contains(err.Error(), c.hint) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWeakKey(t *testing.T) {
	for n, weak := range map[int]bool{1: true, minKey - 1: true, minKey: false, 100: false} {
		if j := newJWT(t, JWTConfig{Key: strings.Repeat("x", n)}); j.WeakKey() != weak {
			t.Errorf("%d bytes: weak is %v", n, j.WeakKey())
		}
	}
}
