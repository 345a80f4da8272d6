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

// toolFlags is the flag set of a command.
func toolFlags(name string) *flag.FlagSet {
	return flag.NewFlagSet("fanfare "+name, flag.ContinueOnError)
}

// parseTool reads a command's arguments. Asked for help it prints it, with line for the usage, and
// returns flag.ErrHelp. Flags come before other arguments.
func parseTool(fs *flag.FlagSet, line string, args []string, help io.Writer) error {
	quiet(fs)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(help, "usage: %s %s\n\n", fs.Name(), line)
		eachFlag(help, fs)
	case err != nil:
		err = fmt.Errorf("%w: see %s --help", err, fs.Name())
	}
	return err
}

// secret is a flag's value, or that of a variable in the environment. It is no flag's default: help
// would print it.
func secret(given *string, variable string) string {
	if *given == "" {
		return os.Getenv(variable)
	}
	return *given
}

// token mints a token for development.
func token(args []string, stdout io.Writer) error {
	var c auth.Claims
	fs := toolFlags("token")
	key := fs.String("jwt-key", "", "`secret` that the gateway has too, for HS256 (default: FANFARE_JWT_KEY in the environment)")
	keyFile := fs.String("jwt-key-file", "", "PEM `file` with a private key, instead")
	fs.StringVar(&c.User, "user", "", "`name` of the user")
	fs.DurationVar(&c.TTL, "ttl", time.Hour, "`time` for which the token is good")
	fs.StringVar(&c.Audience, "jwt-audience", "", "`aud` of the token")
	fs.StringVar(&c.Issuer, "jwt-issuer", "", "`iss` of the token")
	fs.Func("room", "what may be done in which rooms, such as `team-*=join,publish`; may be repeated (default: everything everywhere)", func(s string) error {
		rule, err := auth.ParseRule(s)
		if err != nil {
			return err
		}
		c.Permissions = append(c.Permissions, rule)
		return nil
	})
	if err := parseTool(fs, "--user NAME --jwt-key SECRET [flags]", args, stdout); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see %s --help", fs.Arg(0), fs.Name())
	}
	var (
		t   string
		err error
	)
	if *keyFile != "" {
		t, err = auth.MintWithKeyFile(*keyFile, c)
	} else if k := secret(key, "FANFARE_JWT_KEY"); k != "" {
		t, err = auth.Mint(k, c)
	} else {
		err = errors.New("--jwt-key or --jwt-key-file is needed")
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, t)
	return nil
}

// publish sends one message through the API of a gateway's ops port.
func publish(ctx context.Context, args []string, stdout io.Writer) error {
	fs := toolFlags("publish")
	ops := fs.String("ops", "http://127.0.0.1:9090", "`URL` of the gateway's ops port")
	key := fs.String("api-key", "", "`key` of the gateway's --api-key (default: FANFARE_API_KEY in the environment)")
	room := fs.String("room", "", "the `room` (default chat)")
	user := fs.String("user", "", "the `user`, instead of a room")
	if err := parseTool(fs, "[flags] DATA   (JSON, or text, which becomes a JSON string)", args, stdout); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return fmt.Errorf("one message is needed, after the flags, not %d: see %s --help", fs.NArg(), fs.Name())
	}
	if *room != "" && *user != "" {
		return errors.New("--room and --user: give one of them")
	}
	if !strings.Contains(*ops, "://") {
		*ops = "http://" + *ops
	}
	if *room == "" && *user == "" {
		*room = "chat"
	}
	var data any = json.RawMessage(fs.Arg(0))
	if !json.Valid([]byte(fs.Arg(0))) {
		data = fs.Arg(0)
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // the data is to arrive as it was given
	if err := e.Encode(struct {
		Room string `json:"room,omitempty"`
		User string `json:"user,omitempty"`
		Data any    `json:"data"`
	}{*room, *user, data}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(*ops, "/")+"/api/publish", &body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if k := secret(key, "FANFARE_API_KEY"); k != "" {
		r.Header.Set("Authorization", "Bearer "+k)
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
	fs := toolFlags("tail")
	url := fs.String("url", "ws://127.0.0.1:8080/ws", "`URL` of the gateway")
	tok := fs.String("token", "", "`token` of the user to be (default: FANFARE_TOKEN in the environment)")
	if err := parseTool(fs, "[flags] [ROOM ...]   (default: chat)", args, stdout); err != nil {
		return err
	}
	rooms := fs.Args()
	if len(rooms) == 0 {
		rooms = []string{"chat"}
	}
	c, err := client.Dial(ctx, *url, client.Options{Token: secret(tok, "FANFARE_TOKEN")})
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	defer c.Close()
	for _, room := range rooms {
		if _, err := c.Join(ctx, room); err != nil {
			return unlessInterrupted(ctx, fmt.Errorf("joining %q: %w", room, err))
		}
		fmt.Fprintf(stderr, "joined %s\n", room)
	}
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false)
	for {
		ev, err := c.Receive(ctx)
		if err != nil {
			return unlessInterrupted(ctx, err)
		}
		if err := out.Encode(ev); err != nil {
			return err
		}
	}
}

// unlessInterrupted is err, or nil when it is only that the user has had enough.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
