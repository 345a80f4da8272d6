package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxToken is the length of the longest token that is looked at, in bytes: a token costs work
	// before it is known to be genuine.
	maxToken = 8 << 10
	// minKey is the length, in bytes, below which an HS256 secret is weak (RFC 7518 §3.2).
	minKey = 32
	// defaultLeeway is how far clocks may differ.
	defaultLeeway = 5 * time.Second
)

// JWTConfig says which tokens are good. Key or KeyFile is needed; both may be given.
type JWTConfig struct {
	// Key is a secret that signs tokens with HS256.
	Key string
	// KeyFile is a PEM file with one or more public keys: RSA of at least 2048 bits (RS256), EC
	// P-256 (ES256), Ed25519 (EdDSA). Certificates and private keys give their public part.
	KeyFile string
	// Audience has to be in the token's aud; empty: aud is not looked at.
	Audience string
	// Issuer has to be the token's iss; empty: iss is not looked at.
	Issuer string
	// Leeway is how far clocks may differ; default 5s, negative: none.
	Leeway time.Duration
	// Now tells the time; default time.Now.
	Now func() time.Time
}

// JWT is the Authenticator for JSON Web Tokens (RFC 7519).
//
// A token has to be signed with an algorithm that a configured key is for, and have exp and sub,
// the user. nbf, aud and iss are checked. The claim rooms lists what the user may do, as in
// [{"match":"team-*","can":["join","publish","history"]}]; without it everything is allowed, and
// one that is not understood makes the token invalid.
type JWT struct {
	parser *jwt.Parser
	find   jwt.Keyfunc
	leeway time.Duration
	weak   bool
}

// NewJWT reads the keys and reports all that is wrong with the configuration.
func NewJWT(c JWTConfig) (*JWT, error) {
	keys := keyring{}
	var errs []error
	if strings.Contains(c.Key, "-----BEGIN ") {
		// As an HS256 secret a public key would let everyone sign.
		errs = append(errs, errors.New("the JWT key is a PEM: give it as a key file"))
	} else if c.Key != "" {
		keys.add(jwt.SigningMethodHS256.Alg(), []byte(c.Key))
	}
	if c.KeyFile != "" {
		errs = append(errs, keys.addFile(c.KeyFile))
	}
	if c.Key == "" && c.KeyFile == "" {
		errs = append(errs, errors.New("JWT authentication needs a key or a key file"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	switch {
	case c.Leeway == 0:
		c.Leeway = defaultLeeway
	case c.Leeway < 0:
		c.Leeway = 0
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(keys.algorithms()),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(c.Leeway),
		jwt.WithStrictDecoding(),
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Now != nil {
		options = append(options, jwt.WithTimeFunc(c.Now))
	}
	return &JWT{
		parser: jwt.NewParser(options...),
		find:   keys.find,
		leeway: c.Leeway,
		weak:   c.Key != "" && len(c.Key) < minKey,
	}, nil
}

// WeakKey tells whether the HS256 secret is shorter than the 32 bytes that RFC 7518 §3.2 asks
// for. It works, and whoever has one token can try to guess it: fit for development only.
func (j *JWT) WeakKey() bool { return j.weak }

// Authenticate verifies the token. The identity expires when the token does, and the leeway later:
// as long as the token is accepted.
func (j *JWT) Authenticate(_ context.Context, c Credential) (Identity, error) {
	if c.Token == "" {
		return Identity{}, ErrNoCredential
	}
	if len(c.Token) > maxToken {
		return Identity{}, fmt.Errorf("%w: the token is longer than %d bytes", ErrInvalid, maxToken)
	}
	var got claims
	if _, err := j.parser.ParseWithClaims(c.Token, &got, j.find); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", kind(err), err)
	}
	id := Identity{User: got.user, Expires: got.expires.Add(j.leeway)}
	if err := checkUser(got.user); err != nil {
		return Identity{}, fmt.Errorf("%w: claim sub: %w", ErrInvalid, err)
	}
	if got.rooms != nil {
		if err := id.Permissions.UnmarshalJSON(got.rooms); err != nil {
			return Identity{}, fmt.Errorf("%w: claim rooms: %w", ErrInvalid, err)
		}
	}
	return id, nil
}

// kind returns ErrExpired for a token that has no other fault.
func kind(err error) error {
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return ErrInvalid
	}
	for _, other := range []error{jwt.ErrTokenNotValidYet, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing} {
		if errors.Is(err, other) {
			return ErrInvalid
		}
	}
	return ErrExpired
}
