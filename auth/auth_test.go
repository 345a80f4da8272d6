package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestNoneTakesAnyNameThatCanBeOne(t *testing.T) {
	for _, token := range []string{"alice", "a", "Zoë 漢字", "Client #7", strings.Repeat("x", MaxUser)} {
		id, err := None{}.Authenticate(context.Background(), Credential{token, Query})
		if err != nil || id.User != token || !id.Expires.IsZero() || id.Permissions != nil {
			t.Errorf("%q gives %+v, %v", token, id, err)
		}
	}
	for _, token := range []string{"a\nb", "\x00", "a\x7f", "a\u0085", "\xff", "a\xc3", "\ufffd", strings.Repeat("x", MaxUser+1)} {
		_, err := None{}.Authenticate(context.Background(), Credential{token, Query})
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), token) {
			t.Errorf("%q gives %v", token, err)
		}
	}
}

func TestAnEmptyCredentialIsNoCredential(t *testing.T) {
	for _, a := range []Authenticator{None{}, newJWT(t, JWTConfig{Key: secret})} {
		if _, err := a.Authenticate(context.Background(), Credential{}); !errors.Is(err, ErrNoCredential) {
			t.Errorf("%T: %v", a, err)
		}
	}
}
