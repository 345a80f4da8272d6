package bench

// Ingest is what was published to rooms that nobody is in, while measuring.
type Ingest struct {
	Acked          int64   `json:"acked"`
	AckedPerSecond float64 `json:"acked_per_second"`
	Latency        Latency `json:"ack_latency_us"`     // publish to ack
	Unanswered     int64   `json:"unanswered"`         // published, warm-up included, and neither acked nor refused
	CPUPerMessage  float64 `json:"cpu_us_per_message"` // of the servers, for each acked message
}

// Storm is how the running rooms fared while more sockets arrived at once; Report.Latency is how before.
type Storm struct {
	Sockets      int64   `json:"sockets_opened"`
	Failed       int64   `json:"sockets_failed"`
	Seconds      float64 `json:"seconds"`                    // from the first connect to the last welcome
	Latency      Latency `json:"latency_us"`                 // publish to receive, in that time
	Deliveries   int64   `json:"deliveries"`                 // in that time
	CPUPerAccept float64 `json:"cpu_us_per_accepted_socket"` // of the servers, what the running rooms cost included
}

// Resume is what members got that joined again and asked for history, all at once.
type Resume struct {
	Members       int64   `json:"members"`
	Messages      int64   `json:"messages"`
	Seconds       float64 `json:"seconds"`            // from the first join to the last message
	CPUPerMessage float64 `json:"cpu_us_per_message"` // of the servers
}

// Bucket is one bar of a histogram: Count durations up to UpTo, and longer than the bucket before.
type Bucket struct {
	UpTo  float64 `json:"up_to_us"`
	Count uint64  `json:"count"`
}

func (r Report) stormFailed() int64 {
	if r.Storm == nil {
		return 0
	}
	return r.Storm.Failed
}

func (r Report) unanswered() int64 {
	if r.Ingest == nil {
		return 0
	}
	return r.Ingest.Unanswered
}

// printExtra is the part of the report on what was asked for beside the usual.
func (r Report) printExtra(line func(name, format string, args ...any)) {
	if g := r.Ingest; g != nil {
		line("ingest", "%s acked/s, %.2f µs a message; %s unanswered", grouped(int64(g.AckedPerSecond+0.5)), g.CPUPerMessage, grouped(g.Unanswered))
		line("", "publish to ack: p50 %s  p90 %s  p99 %s  max %s", span(g.Latency.P50), span(g.Latency.P90), span(g.Latency.P99), span(g.Latency.Max))
	}
	if s := r.Storm; s != nil {
		line("storm", "%s sockets in %.2f s, %s failed, %.2f µs a socket with what the rooms cost", grouped(s.Sockets), s.Seconds, grouped(s.Failed), s.CPUPerAccept)
		line("", "latency meanwhile: p50 %s  p90 %s  p99 %s  max %s", span(s.Latency.P50), span(s.Latency.P90), span(s.Latency.P99), span(s.Latency.Max))
	}
	if s := r.Resume; s != nil {
		line("resume", "%s members got %s messages in %.2f s, %.3f µs a message", grouped(s.Members), grouped(s.Messages), s.Seconds, s.CPUPerMessage)
	}
}
