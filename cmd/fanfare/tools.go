package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/client"
)

// toolFlags is a flag set with a line of usage.
func toolFlags(name, line string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("fanfare "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "usage: fanfare %s %s\n", name, line)
		fs.PrintDefaults()
	}
	return fs
}

// token mints a token for development.
func token(args []string, stdout, stderr io.Writer) error {
	var c auth.Claims
	fs := toolFlags("token", "--user NAME --jwt-key SECRET [flags]", stderr)
	key := fs.String("jwt-key", os.Getenv("FANFARE_JWT_KEY"), "`secret` that the gateway has too (HS256)")
	keyFile := fs.String("jwt-key-file", "", "PEM `file` with a private key, instead")
	fs.StringVar(&c.User, "user", "", "`name` of the user")
	fs.DurationVar(&c.TTL, "ttl", time.Hour, "for how `long` the token is good")
	fs.StringVar(&c.Audience, "jwt-audience", "", "`aud` of the token")
	fs.StringVar(&c.Issuer, "jwt-issuer", "", "`iss` of the token")
	fs.Func("room", "`pattern=join,publish,history`: what may be done in which rooms; may be repeated (default: everything)", func(s string) error {
		rule, err := auth.ParseRule(s)
		if err != nil {
			return err
		}
		c.Permissions = append(c.Permissions, rule)
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return err
	}
	mint := func() (string, error) { return auth.Mint(*key, c) }
	if *keyFile != "" {
		mint = func() (string, error) { return auth.MintWithKeyFile(*keyFile, c) }
	}
	t, err := mint()
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, t)
	return nil
}

// publish sends one message through the API of a gateway's ops port.
func publish(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := toolFlags("publish", "[--room ROOM | --user USER] DATA   (JSON, or text, which becomes a JSON string)", stderr)
	ops := fs.String("ops", "http://127.0.0.1:9090", "`URL` of the gateway's ops port")
	key := fs.String("api-key", os.Getenv("FANFARE_API_KEY"), "`key` of the gateway's --api-key")
	room := fs.String("room", "", "the `room` (default chat)")
	user := fs.String("user", "", "the `user`, instead of a room")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		fs.Usage()
		return errors.New("one message is needed")
	}
	if *room == "" && *user == "" {
		*room = "chat"
	}
	data := json.RawMessage(fs.Arg(0))
	if !json.Valid(data) {
		data, _ = json.Marshal(fs.Arg(0)) // a string never fails
	}
	body, err := json.Marshal(struct {
		Room string          `json:"room,omitempty"`
		User string          `json:"user,omitempty"`
		Data json.RawMessage `json:"data"`
	}{*room, *user, data})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(*ops, "/")+"/api/publish", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if *key != "" {
		r.Header.Set("Authorization", "Bearer "+*key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(answer))
	}
	fmt.Fprintf(stdout, "%s\n", bytes.TrimSpace(answer))
	return nil
}

// tail prints what is published to rooms, one JSON object a line, until ctx ends.
func tail(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := toolFlags("tail", "[flags] [ROOM ...]   (default: chat)", stderr)
	url := fs.String("url", "ws://127.0.0.1:8080/ws", "`URL` of the gateway")
	tok := fs.String("token", os.Getenv("FANFARE_TOKEN"), "`token` of the user to be")
	if err := fs.Parse(args); err != nil {
		return err
	}
	rooms := fs.Args()
	if len(rooms) == 0 {
		rooms = []string{"chat"}
	}
	c, err := client.Dial(ctx, *url, client.Options{Token: *tok})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, room := range rooms {
		if _, err := c.Join(ctx, room); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "joined %s\n", room)
	}
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false)
	for {
		ev, err := c.Receive(ctx)
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		if err := out.Encode(ev); err != nil {
			return err
		}
	}
}
