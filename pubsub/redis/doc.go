// Package redis is the broker that connects instances through Redis.
//
// # What Redis holds
//
// PREFIX is fanfare unless configured. {p} in braces is the partition, the FNV-1a 32-bit hash of
// the name's bytes modulo the number of partitions; {0} for all when there is one.
//
//	PREFIX:{p}:c:ROOM      channel of a room
//	PREFIX:{p}:u:USER      channel of a user; never any history
//	PREFIX:{p}:h:ROOM      stream, the history: ids OFFSET-0, one field e with an envelope
//	PREFIX:{p}:m:ROOM      hash: epoch (decimal, below 2^53) and offset of the newest message
//	PREFIX:{p}:k:ROOM:KEY  OFFSET:EPOCH that an idempotency key was given; in ROOM (only here)
//	                       % is written %25 and : is written %3A
//	PREFIX:{0}:probe:…     channel on which an instance hears itself
//
// The stream and the keys expire the retention's TTL after the room's last message and after the
// key's use, the hash an hour after twice the TTL; while an instance has subscribed the room the
// hash is kept alive. The stream is trimmed with MAXLEN ~, so it may hold some more than asked.
//
// # The envelope
//
// A payload whose first byte is 0x01 is an envelope; numbers are big-endian:
//
//	byte   0x01
//	byte   flags: bits 0–1 kind (0 text, 1 binary, 2 JSON), 0x04 not back to the origin,
//	       0x08 has position, 0x10 has origin, 0x20 has from, 0x40 and 0x80 zero
//	16 B   if 0x08: epoch, offset, each from 1 to 2^53−1
//	24 B   if 0x10: the origin's instance, socket and clock
//	n B    if 0x20: uvarint length and that many bytes of UTF-8: the user who published it
//	…      the payload, to the end
//
// A stream's entry has the envelope without a position, since its id is the offset and the epoch
// is the hash's; the script sets the flag and puts the position in for the channel. Anything else
// that is published on a channel is delivered as [pubsub.Foreign].
//
// # Delivery
//
// With history one script does all at once; without, it is a plain PUBLISH. No publish is ever
// retried by the broker where it may have been done. When Redis is known to be away publishes are
// refused at once, and in any case they are answered within two seconds. A subscription waits for
// Redis as long as it takes. After every reconnect, and every 10 s, the handler is told the
// newest position of every subscribed room, so that it can read what it missed.
//
// # Ordering
//
// One goroutine publishes, one pipeline at a time, in the order of the calls. One goroutine
// receives and calls Deliver.
//
// # Concurrency
//
// Goroutines of Run, each in the file of its name: publisher (pipelines), reader (histories), control
// (writes SUBSCRIBE), listener (connects, receives, calls Deliver), tops (calls Top), prober and
// watch (call Up), and one that gives refusals. What they share is in subscriptions and health,
// each with a mutex under which nothing waits and nothing is called.
package redis
