package bench

// A message's data is a JSON object of exactly Config.Size bytes with a fixed layout:
//
//	{"b":"RRRRRRRRPPPPPPPPSSSSSSSSTTTTTTTTTTTTTTTTCCCCCCCC","p":"xxxx…"}
//
// R: this run, P: publisher, S: its sequence number from 1, T: send time in ns of
// this process's monotonic clock, C: a checksum of these. A digit is one of the
// sixteen letters a to p, so that eight of them are read with a few instructions.
const (
	dataHead   = `{"b":"`
	dataMid    = `","p":"`
	dataTail   = `"}`
	numbersLen = 48

	numbersAt = len(dataHead)
	paddingAt = numbersAt + numbersLen
)
