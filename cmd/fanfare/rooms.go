package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// readRooms reads the key rooms of the file given with --config: for rooms that match a pattern,
// another history than that of --history and --history-ttl. The first that matches counts.
//
//	rooms:
//	  - {match: "news.*", history: 1000, ttl: 1h}
//	  - {match: "cursor.*", history: 0}
func readRooms(n *yaml.Node) (pubsub.Retentions, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New(`want a list like [{match: "news.*", history: 1000, ttl: 1h}]`)
	}
	var (
		rooms pubsub.Retentions
		errs  []error
	)
	for _, item := range n.Content {
		r, err := readRoom(item)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", item.Line, err))
		}
		rooms = append(rooms, r)
	}
	return rooms, errors.Join(errs...)
}

func readRoom(n *yaml.Node) (r pubsub.Retention, err error) {
	if n.Kind != yaml.MappingNode {
		return r, errors.New("want match, history and, if there is history, ttl")
	}
	r.History = -1 // not given
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1].Value
		switch key {
		case "match":
			r.Match = value
		case "history":
			if r.History, err = strconv.Atoi(value); err != nil || r.History < 0 {
				return r, fmt.Errorf("history %q: want a number of messages, 0 for none", value)
			}
		case "ttl":
			if r.TTL, err = time.ParseDuration(value); err != nil || r.TTL < time.Second {
				return r, fmt.Errorf("ttl %q: want a time of at least 1s, like 10m", value)
			}
		default:
			return r, fmt.Errorf("unknown key %q: want match, history, ttl", key)
		}
	}
	switch {
	case r.Match == "":
		return r, errors.New(`match is missing: a room's name, in which * stands for any characters`)
	case r.History < 0:
		return r, errors.New("history is missing: the number of messages kept, 0 for none")
	}
	return r, nil
}
