// Package auth decides who a socket belongs to and what it may do: it finds the [Credential] in a
// [Handshake] ([Finder]), turns it into an [Identity] ([Authenticator]), answers for each command
// whether a room is open to it ([Permissions]), and says which web pages may connect at all
// ([Origins]).
//
// # Order of a handshake
//
// Origin first ([Origins.Allowed]), then [Finder.Find] with what [Origins.CookiesBelieved] says,
// then [Authenticator.Authenticate]. A cookie is sent by the browser whichever page opens the
// socket, so a cookie from a page that is not known proves nothing (cross-site WebSocket
// hijacking); a token has to be put there by someone who has it.
//
// # Secrets
//
// No error of this package contains a token, nor a claim whose signature was not verified;
// [Credential] and [Handshake] print without theirs (as values of their own: fmt cannot ask a
// field that is not exported).
//
// # Concurrency
//
// Everything here may be used from many goroutines at once, and nothing changes after it is made.
// [None] and [JWT] never wait; another Authenticator may, until its context ends.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// Errors of an [Authenticator], wrapped around the cause. The cause is for the log; a client is
// told no more than which of these it was.
var (
	// ErrNoCredential: there was nothing to check.
	ErrNoCredential = errors.New("no credential")
	// ErrInvalid: the credential is not one of ours, or is not for us, or says something impossible.
	ErrInvalid = errors.New("invalid credential")
	// ErrExpired: the credential was good, and its time is over.
	ErrExpired = errors.New("expired credential")
)

// MaxUser is the length of the longest user name, in bytes.
const MaxUser = 255

// Identity is who a socket belongs to.
type Identity struct {
	// User is 1 to [MaxUser] bytes of UTF-8 without control characters.
	User string
	// Expires is when the socket has to end unless it brings a fresh credential; zero: never.
	Expires time.Time
	// Permissions says what may be done in which rooms; nil: everything.
	Permissions Permissions
}

// Authenticator turns a credential into the identity it proves.
type Authenticator interface {
	// Authenticate returns an error that wraps [ErrNoCredential], [ErrInvalid] or [ErrExpired] for
	// a credential that is refused, and another error if it could not be checked. It may wait
	// until ctx ends: do not call it from an event loop.
	Authenticate(ctx context.Context, c Credential) (Identity, error)
}

// None checks nothing: any token is taken as the user's name. It is for development, for courses,
// and for gateways that something else protects.
type None struct{}

// Authenticate returns the token as the user, if it can be a user's name at all.
func (None) Authenticate(_ context.Context, c Credential) (Identity, error) {
	if c.Token == "" {
		return Identity{}, ErrNoCredential
	}
	if err := checkUser(c.Token); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Identity{User: c.Token}, nil
}

// checkUser says why s cannot be a user's name. The replacement character is refused with invalid
// UTF-8: encoding/json puts it for what it cannot decode, and so would make one user of two.
func checkUser(s string) error {
	if s == "" {
		return errors.New("the user's name is empty")
	}
	if len(s) > MaxUser {
		return fmt.Errorf("the user's name is longer than %d bytes", MaxUser)
	}
	for _, r := range s {
		if r == utf8.RuneError {
			return errors.New("the user's name is not valid UTF-8")
		}
		if unicode.IsControl(r) {
			return errors.New("the user's name has a control character")
		}
	}
	return nil
}
