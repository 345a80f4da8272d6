package auth_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fanfare-ws/fanfare/auth"
)

// The door's way from an upgrade request to an identity.
func Example() {
	const key = "a secret of at least 32 random bytes"
	origins, err := auth.NewOrigins([]string{"https://app.example.com"})
	if err != nil {
		panic(err)
	}
	tokens, err := auth.NewJWT(auth.JWTConfig{Key: key, Audience: "fanfare"})
	if err != nil {
		panic(err)
	}
	team, err := auth.ParseRule("team-*=join,publish")
	if err != nil {
		panic(err)
	}
	token, err := auth.Mint(key, auth.Claims{User: "alice", Audience: "fanfare", Permissions: auth.Permissions{team}})
	if err != nil {
		panic(err)
	}

	h := auth.Handshake{Scheme: "https", Host: "ws.example.com", Origin: "https://app.example.com",
		Protocols: []string{"fanfare.v1", auth.ProtocolPrefix + token}}
	if !origins.Allowed(h) {
		fmt.Println("403")
		return
	}
	credential, _ := auth.Finder{}.Find(h, origins.CookiesBelieved(h)) // none is an error below
	id, err := tokens.Authenticate(context.Background(), credential)
	if errors.Is(err, auth.ErrNoCredential) || errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrExpired) {
		fmt.Println("1008")
		return
	}
	fmt.Println(id.User, "by", credential)
	fmt.Println(id.Permissions.Allow("team-red", auth.Publish), id.Permissions.Allow("team-red", auth.History))
	// Output:
	// alice by subprotocol credential
	// true false
}

func ExampleOrigins() {
	origins, _ := auth.NewOrigins([]string{"*"})
	foreign := auth.Handshake{Scheme: "https", Host: "ws.example.com", Origin: "https://elsewhere.test"}
	fmt.Println(origins.Allowed(foreign), origins.CookiesBelieved(foreign))
	// Output: true false
}
