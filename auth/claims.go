package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// claims are those of a token that matter here. It is decoded before the signature is verified, so
// its errors are fixed phrases, and rooms stays as it is until later.
type claims struct {
	user, issuer       string
	audience           jwt.ClaimStrings
	expires, notBefore *jwt.NumericDate
	rooms              json.RawMessage // nil: the token has no such claim
}

// UnmarshalJSON reads a claims set. Not by a struct's tags: those ignore case, and RFC 7519 §4
// names do not, so that an issuer's own "Rooms" would replace "rooms".
func (c *claims) UnmarshalJSON(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("the claims are not valid UTF-8")
	}
	var set map[string]json.RawMessage
	if json.Unmarshal(b, &set) != nil {
		return errors.New("the claims are not an object")
	}
	c.rooms = set["rooms"]
	return errors.Join(
		text(set["sub"], &c.user, "claim sub is not a string"),
		text(set["iss"], &c.issuer, "claim iss is not a string"),
		list(set["aud"], &c.audience, "claim aud is neither a string nor a list of strings"),
		date(set["exp"], &c.expires, "claim exp is not a number of seconds since 1970"),
		date(set["nbf"], &c.notBefore, "claim nbf is not a number of seconds since 1970"),
	)
}

// What these take is nil for a missing claim, or one valid JSON value.

func text(raw json.RawMessage, to *string, fault string) error {
	switch {
	case raw == nil:
	case raw[0] != '"':
		return errors.New(fault)
	case bytes.IndexByte(raw, '\\') < 0: // nothing to decode, as nearly always
		*to = string(raw[1 : len(raw)-1])
	case json.Unmarshal(raw, to) != nil:
		return errors.New(fault)
	}
	return nil
}

func list(raw json.RawMessage, to *jwt.ClaimStrings, fault string) error {
	if raw != nil && raw[0] == '"' {
		*to = jwt.ClaimStrings{""}
		return text(raw, &(*to)[0], fault)
	}
	if raw != nil && json.Unmarshal(raw, to) != nil {
		return errors.New(fault)
	}
	return nil
}

// maxDate is the end of the year 9999, in seconds. What lies later is most likely milliseconds.
const maxDate = 253402300799

func date(raw json.RawMessage, to **jwt.NumericDate, fault string) error {
	if raw == nil {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(raw), 64) // no other JSON value is a float to it
	if err != nil || !(seconds >= 0 && seconds <= maxDate) {
		return errors.New(fault)
	}
	whole, part := math.Modf(seconds)
	*to = &jwt.NumericDate{Time: time.Unix(int64(whole), int64(part*1e9))}
	return nil
}

// The rest is jwt.Claims, for the parser's own checks.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.user, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }
