// Package redis is the broker that connects instances through Redis.
//
// # The URL
//
//	redis://[USER:PASSWORD@]HOST[:6379][/DB]
//	redis+sentinel://[USER:PASSWORD@]HOST[:26379],HOST,…[/DB][?master=mymaster]
//	redis+cluster://[USER:PASSWORD@]HOST[:6379],HOST,…
//
// rediss…:// is the same with TLS, to sentinels too. USER and PASSWORD are those of the servers that
// hold data; sentinels may have others: sentinel_user=…&sentinel_password=…. Several sentinels, or
// some nodes of the cluster, are named so that one of them answers. A cluster needs Redis 7.0.
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
//	PREFIX:{p}:probe:…     channel on which an instance hears itself, and a key that it may write
//
// The stream and the keys expire the retention's TTL after the room's last message and after the
// key's use, the hash an hour after twice the TTL; while an instance has subscribed the room the
// hash is kept alive. The stream is trimmed with MAXLEN ~, so it may hold some more than asked.
//
// On a cluster there are 64 partitions unless configured, the channels are those of SPUBLISH and
// SSUBSCRIBE, and the braces put all of a partition into the slot of the number in them, so that
// one server has all that a script touches. The number of partitions is also that of an instance's
// listening connections at most; it must be the same on all instances.
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
// retried by the broker where it may have been done, but only where Redis has said that it was not:
// it did not know the script, or the slot is elsewhere (MOVED) or being moved (ASK, TRYAGAIN), and
// then only for half a second and if nothing later for the same target was done. While a slot is
// being moved, rooms whose keys are on their way are unavailable for publishing; the others are not.
// When a server is known to be away publishes to it are refused at once, and in any case they are
// answered within two seconds. A subscription waits for Redis as long as it takes. After every
// reconnect, and every 10 s, the handler is told the newest position of every subscribed room, so
// that it can read what it missed.
//
// # What an ack is worth
//
// An acknowledged message is in the memory of the server that has its room. A replica has it a
// moment later, and the disk when the server is configured to write it there. Config.AckReplicas
// holds the ack until so many replicas have the message (WAIT, in the same pipeline); when they do
// not within a second, the publish is answered with [pubsub.ErrUnavailable] although the message is
// there, and sending it again with the same key does it once. Messages without history are nowhere
// after they were delivered, so no replica is waited for.
//
// # Failover
//
// Sentinels are asked every second which server is the master, and of different answers that of the
// highest epoch counts; nodes of a cluster every 10 s, and both at once when a server behaves as if
// it were no longer the one. A listening connection is only made to a server that takes writes to
// the partition, and ended when the partition is elsewhere or the server has become a replica. What
// follows is as after any reconnect: subscribed anew, and Top tells that it was interrupted. The
// new master may lack the newest messages and give their offsets to others. Whoever saw them finds
// the history changed, and has a new epoch made with Renew.
//
// # Whether Redis can be reached
//
// Every partition that is in use is probed each second, by writing a key, by publishing to the
// instance itself and, with AckReplicas, by waiting for the replicas. Up is told an error as long
// as one of the partitions, which the error names, cannot be reached, cannot be heard, or refuses
// to keep messages: its memory is full, or it has become a replica. Publishes are tried all the same
// where the server answers, so that what can be done is done: messages without history while the
// memory is full, and everything in the other partitions.
//
// # Ordering
//
// What is published to a partition is sent in the order of the calls, one pipeline at a time, while
// the next is made. One goroutine receives from it and calls Deliver.
//
// # Concurrency
//
// A link is the way to the partitions that are always on one server together: the only one, or on
// a cluster one for each partition, which begins with its first use. The goroutines of a link, each
// in the file of its name: publisher (makes pipelines), sender (sends them), reader (histories), control (writes SUBSCRIBE),
// listener (connects, receives, calls Deliver), tops (calls Top) and prober. The goroutines of Run:
// watch (calls Up), servers (asks where the links' servers are), and one that gives refusals. What
// a link's goroutines share is in subscriptions and health, what the links share in servers, each
// with a mutex under which nothing waits and nothing is called.
package redis
