package bench

import (
	"fmt"

	"github.com/fanfare-ws/fanfare/auth"
)

// identify gives each socket its user, before anything is measured.
func (r *run) identify() error {
	if !r.Users && r.Key == "" {
		return nil
	}
	r.tokens = make([]string, r.Sockets)
	for n := range r.tokens {
		user := fmt.Sprintf("bench-%08x-%d", r.id, n)
		r.tokens[n] = user
		if r.Key == "" {
			continue
		}
		var err error
		if r.tokens[n], err = auth.Mint(r.Key, auth.Claims{User: user}); err != nil {
			return err
		}
	}
	return nil
}

// request is what a socket sends to be upgraded.
func (r *run) request(dst []byte, socket int) []byte {
	t := r.targetOf(socket)
	switch {
	case r.tokens == nil:
		return append(dst, t.line+t.rest+"\r\n"...)
	case r.Key != "":
		return append(dst, t.line+t.rest+"Authorization: Bearer "+r.tokens[socket]+"\r\n\r\n"...)
	}
	separator := "?"
	if t.query {
		separator = "&"
	}
	const version = " HTTP/1.1\r\n"
	return append(dst, t.line[:len(t.line)-len(version)]+separator+"token="+r.tokens[socket]+version+t.rest+"\r\n"...)
}

// identity is how each socket says who it is, for the report.
func (c Config) identity() string {
	switch {
	case c.Users:
		return "a user each"
	case c.Key != "":
		return "an HS256 token each"
	case c.Token != "":
		return "one token"
	}
	return ""
}
