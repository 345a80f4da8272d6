package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// minRSA is the size of the smallest RSA key, in bits (RFC 7518 §3.3).
const minRSA = 2048

// keyring holds the keys that verify, by the one algorithm each is for: which key is used never
// depends on more than the algorithm, so no key is ever used with another (key confusion). It is
// the place for key sets that are fetched (JWKS), which also choose by "kid".
type keyring map[string]jwt.VerificationKeySet

func (k keyring) add(alg string, key any) {
	set := k[alg]
	set.Keys = append(set.Keys, key)
	k[alg] = set
}

// addFile adds the keys of a PEM file: public ones, certificates, and the public part of private ones.
func (k keyring) addFile(path string) error {
	keys, err := readPEM(path)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if private, ok := key.(crypto.Signer); ok {
			key = private.Public()
		}
		method, err := methodFor(key)
		if err != nil {
			return fmt.Errorf("key file %s: %w", path, err)
		}
		k.add(method.Alg(), key)
	}
	return nil
}

func (k keyring) algorithms() []string {
	var algs []string
	for alg := range k {
		algs = append(algs, alg)
	}
	return algs
}

// find is a jwt.Keyfunc. RFC 7515 §4.1.11: what lists critical extensions is refused by who knows none.
func (k keyring) find(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("the token needs an extension that is not known here")
	}
	if set, ok := k[t.Method.Alg()]; ok {
		return set, nil
	}
	return nil, errors.New("there is no key for the token's algorithm")
}

// methodFor returns the one algorithm that a public key is used with.
func methodFor(public any) (jwt.SigningMethod, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return nil, fmt.Errorf("the RSA key has %d bits, and needs %d", key.N.BitLen(), minRSA)
		}
		return jwt.SigningMethodRS256, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("the EC key is on %s, and needs P-256 (ES256)", key.Curve.Params().Name)
		}
		return jwt.SigningMethodES256, nil
	case ed25519.PublicKey:
		return jwt.SigningMethodEdDSA, nil
	}
	return nil, fmt.Errorf("a %T is none of RSA, EC P-256 and Ed25519", public)
}

// readPEM returns the keys of a PEM file, at least one.
func readPEM(path string) ([]any, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	var keys []any
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type == "EC PARAMETERS" { // openssl puts it before an EC key
			continue
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", path, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key file %s: no PEM block with a key in it", path)
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (any, error) {
	if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the key is encrypted; give the public key")
	}
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block %q is no key", block.Type)
}
