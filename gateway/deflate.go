package gateway

import "github.com/gobwas/httphead"

// Names of permessage-deflate's parameters (RFC 7692 §7.1).
const (
	deflateExtension        = "permessage-deflate"
	serverNoContextTakeover = "server_no_context_takeover"
	clientNoContextTakeover = "client_no_context_takeover"
	serverMaxWindowBits     = "server_max_window_bits"
	clientMaxWindowBits     = "client_max_window_bits"
)

// deflation negotiates permessage-deflate in one handshake. The first offer that can be honoured is taken; the
// others are declined, which is no reason to refuse the client (RFC 7692 §5).
type deflation struct{ agreed bool }

// answer is the answer to one offered extension, the zero Option to decline it. It is for [ws.Upgrader].
//
// Neither side may use a message as context for the next: this one has to compress a message once for all,
// and keeps no window for each socket.
func (d *deflation) answer(offer httphead.Option) (answer httphead.Option, err error) {
	if d.agreed || string(offer.Name) != deflateExtension {
		return answer, nil
	}
	ok, seen, window := true, make(map[string]bool), false
	offer.Parameters.ForEach(func(name, value []byte) bool {
		switch string(name) {
		case serverNoContextTakeover, clientNoContextTakeover:
			ok = len(value) == 0
		case serverMaxWindowBits: // a smaller one cannot be had from the compressor
			window = true
			ok = windowBits(string(value)) == 15
		case clientMaxWindowBits: // any will do
			ok = len(value) == 0 || windowBits(string(value)) > 0
		default:
			ok = false
		}
		ok = ok && !seen[string(name)]
		seen[string(name)] = true
		return ok
	})
	if !ok {
		return answer, nil
	}
	d.agreed = true
	answer.Name = []byte(deflateExtension)
	answer.Parameters.Set([]byte(serverNoContextTakeover), nil)
	answer.Parameters.Set([]byte(clientNoContextTakeover), nil)
	if window {
		answer.Parameters.Set([]byte(serverMaxWindowBits), []byte("15"))
	}
	return answer, nil
}

// windowBits reads the number of a …_max_window_bits parameter, 8 to 15 without leading zeros, or 0.
func windowBits(s string) int {
	for n := 8; n <= 15; n++ {
		if s == itoa(n) {
			return n
		}
	}
	return 0
}
