package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAMintedTokenIsAccepted(t *testing.T) {
	j := newJWT(t, JWTConfig{Key: secret, Audience: "fanfare", Issuer: "us", Leeway: -1})
	for _, rooms := range []Permissions{nil, {}, {{"team-*", Join | Publish}, {"<&>", History}}} {
		token, err := Mint(secret, Claims{User: "Zoë <&>", TTL: time.Minute, Permissions: rooms, Audience: "fanfare", Issuer: "us", Now: atNoon})
		if err != nil {
			t.Fatal(err)
		}
		id, err := j.Authenticate(context.Background(), Credential{token, Bearer})
		want := Identity{User: "Zoë <&>", Expires: noon.Add(time.Minute), Permissions: rooms}
		if err != nil || !cmp.Equal(id, want) || (id.Permissions == nil) != (rooms == nil) {
			t.Errorf("got %+v, %v", id, err)
		}
	}
}

func TestAMintedTokenIsGoodForAnHour(t *testing.T) {
	token, err := Mint(secret, Claims{User: "u"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := newJWT(t, JWTConfig{Key: secret, Leeway: -1, Now: time.Now}).Authenticate(context.Background(), Credential{token, Bearer})
	if left := time.Until(id.Expires); err != nil || left < 59*time.Minute || left > time.Hour {
		t.Errorf("good for %v, %v", left, err)
	}
}

func TestWhatCannotBeMinted(t *testing.T) {
	k := keys()
	many := make(Permissions, 500)
	for i := range many {
		many[i] = Rule{"a-room", Join}
	}
	for name, c := range map[string]struct {
		key    string
		claims Claims
	}{
		"no key":   {"", Claims{User: "u"}},
		"PEM":      {public(k.rsa), Claims{User: "u"}},
		"no user":  {secret, Claims{}},
		"control":  {secret, Claims{User: "a\nb"}},
		"long":     {secret, Claims{User: strings.Repeat("x", MaxUser+1)}},
		"past":     {secret, Claims{User: "u", TTL: -1}},
		"too many": {secret, Claims{User: "u", Permissions: many}},
	} {
		if _, err := Mint(c.key, c.claims); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, content := range map[string]string{
		"public": public(k.rsa), "empty": "", "P-384": private(k.p384), "small": private(k.small),
	} {
		if _, err := MintWithKeyFile(file(t, content), Claims{User: "u"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
