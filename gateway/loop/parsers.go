package loop

import "github.com/fanfare-ws/fanfare/gateway/frame"

// Sockets are nearly always between two messages, and a parser then holds nothing. So a loop has
// one, and a socket gets one of its own only for as long as it has sent a part of a message.

// parserOf is the parser for what the socket sent.
func (l *Loop) parserOf(s *Socket) *frame.Parser {
	p := s.parser
	if p == nil {
		p = l.parser
	}
	p.TakeDeflated(s.deflates)
	return p
}

// keepParser is called when p was given all that the socket sent: p stays the socket's if something
// is underway.
func (l *Loop) keepParser(s *Socket, p *frame.Parser) {
	switch {
	case s.state != open:
		if p == l.parser {
			p.Release()
		}
	case p == l.parser:
		if !p.Rest() {
			s.parser, l.parser = p, l.spareParser()
		}
	case p.Rest():
		l.dropParser(s)
	}
}

// dropParser takes the socket's own parser back.
func (l *Loop) dropParser(s *Socket) {
	if s.parser == nil {
		return
	}
	s.parser.Release()
	if len(l.parsers) < maxSpareParsers {
		l.parsers = append(l.parsers, s.parser)
	}
	s.parser = nil
}

const maxSpareParsers = 64

func (l *Loop) spareParser() *frame.Parser {
	n := len(l.parsers)
	if n == 0 {
		return new(frame.Parser)
	}
	p := l.parsers[n-1]
	l.parsers = l.parsers[:n-1]
	return p
}
