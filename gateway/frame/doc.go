// Package frame speaks RFC 6455 frames both ways on byte slices: an incremental [Parser] for what a
// server reads, and Append functions for what a server, or a client, sends. It never reads, writes or
// waits, so it serves an event loop and a goroutine alike.
//
// # Reading
//
// A [Parser] is one small value inside each socket. It is fed whatever a read returned and hands out
// whole messages and control frames:
//
//	for {
//		ev, n, ok, err := s.parser.Next(data, maxMessage)
//		data = data[n:]
//		if err != nil {
//			// End the socket with the code and reason of the *frame.Error.
//		}
//		if !ok {
//			break // all of data is used
//		}
//		// Use ev before the next call.
//	}
//
// Going on until ok is false, even with no byte left, is what gives a used buffer back to the pool
// before the socket goes idle.
//
// # Memory
//
// A message that lies whole in data is handed out as a slice of data, unmasked in place: nothing is
// copied or allocated. Only a message that is spread over reads or fragments is collected in a buffer,
// which comes from a pool when its first payload byte arrives, grows with what really arrived and never
// with what a header declares, and goes back with the next call. An idle parser holds no buffer.
//
// # Limits
//
// A declared length is checked against the message limit, summed over fragments, as soon as the header
// is complete. Text is checked as UTF-8 as it comes, to the byte. A parser that failed stays failed.
//
// # Compression
//
// A parser that was told to [Parser.TakeDeflated] also takes messages compressed by permessage-deflate
// (RFC 7692), and hands them out as they came; [Parser.Inflate] inflates one, bounded. [Deflate] compresses a
// frame. What both need is pooled and kept by nobody between messages.
//
// # Concurrency
//
// A Parser belongs to one goroutine at a time; the functions may be called from any.
package frame
