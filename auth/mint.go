package auth

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is what a minted token says.
type Claims struct {
	User        string           // 1 to MaxUser bytes of UTF-8 without control characters
	TTL         time.Duration    // how long the token is good; default 1h
	Permissions Permissions      // nil: everything is allowed
	Audience    string           // empty: none
	Issuer      string           // empty: none
	Now         func() time.Time // default time.Now
}

// Mint returns a token signed with HS256, which a [JWT] with the same key accepts.
func Mint(key string, c Claims) (string, error) {
	if key == "" {
		return "", errors.New("minting a token: the key is empty")
	}
	if strings.Contains(key, "-----BEGIN ") {
		return "", errors.New("minting a token: the key is a PEM: give it as a key file")
	}
	return mint(jwt.SigningMethodHS256, []byte(key), c)
}

// MintWithKeyFile returns a token signed with the first private key of a PEM file: RS256, ES256 or
// EdDSA, as the key is.
func MintWithKeyFile(path string, c Claims) (string, error) {
	keys, err := readPEM(path)
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		if private, ok := key.(crypto.Signer); ok {
			method, err := methodFor(private.Public())
			if err != nil {
				return "", fmt.Errorf("key file %s: %w", path, err)
			}
			return mint(method, private, c)
		}
	}
	return "", fmt.Errorf("key file %s: no private key in it, and a public one cannot sign", path)
}

func mint(method jwt.SigningMethod, key any, c Claims) (string, error) {
	if err := checkUser(c.User); err != nil {
		return "", fmt.Errorf("minting a token: %w", err)
	}
	if c.TTL < 0 {
		return "", fmt.Errorf("minting a token: it would be good for %s", c.TTL)
	}
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	now := c.Now()
	set := jwt.MapClaims{"sub": c.User, "iat": now.Unix(), "exp": now.Add(c.TTL).Unix()}
	if c.Audience != "" {
		set["aud"] = c.Audience
	}
	if c.Issuer != "" {
		set["iss"] = c.Issuer
	}
	if c.Permissions != nil {
		set["rooms"] = c.Permissions
	}
	token, err := jwt.NewWithClaims(method, set).SignedString(key)
	if err != nil {
		return "", fmt.Errorf("minting a token: %w", err)
	}
	if len(token) > maxToken {
		return "", fmt.Errorf("minting a token: it would be longer than the %d bytes that are accepted", maxToken)
	}
	return token, nil
}
