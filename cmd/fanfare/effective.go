package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
)

// showConfig is `fanfare config`: it checks a configuration as serve would, short of opening ports
// and asking Redis, and prints what is in effect and where each value is from. What it prints can be
// given to --config, but for what is secret, which is not shown.
func showConfig(args []string, stdout, stderr io.Writer) error {
	var (
		o    options
		help bytes.Buffer
	)
	err := o.read(args, os.Environ(), &help)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, "fanfare config checks a configuration and prints what is in effect. Its flags are those of fanfare serve.\n\n%s", help.String())
	}
	if err != nil {
		return err
	}
	_, err = wire(&o, newLogger(&o, stderr), prometheus.NewRegistry())
	_, certErr := certificate(&o)
	err = errors.Join(err, certErr)
	for _, a := range []struct{ flag, address string }{{"listen", o.Listen}, {"ops", o.Ops}} {
		if _, addrErr := net.ResolveTCPAddr("tcp", a.address); addrErr != nil {
			err = errors.Join(err, fmt.Errorf("--%s: %w", a.flag, addrErr))
		}
	}
	if err != nil {
		return err
	}
	return printConfig(stdout, &o)
}

// setting is an option in effect.
type setting struct {
	name, value string // without what is secret in it
	from        string // flag, environment, file or default
	hidden      bool   // the value is secret and not there
	number      bool
}

// Options whose value is secret as a whole. One that is a URL may have a password in it.
var secrets = map[string]bool{"jwt-key": true, "api-key": true}

// effective lists all options but --config, in the order of their names.
func (o *options) effective() (all []setting) {
	current := *o // flags bind to what holds the values: they are read back from a copy
	fs := current.flags()
	current = *o
	fs.VisitAll(func(f *flag.Flag) {
		if f.Name == "config" {
			return
		}
		s := setting{name: f.Name, value: f.Value.String(), from: o.from[f.Name]}
		if g, ok := f.Value.(flag.Getter); ok {
			switch v := g.Get().(type) {
			case int:
				s.number = true
			case time.Duration:
				s.value = short(v)
			}
		}
		if s.from == "" {
			s.from = "default"
		}
		if secrets[f.Name] && s.value != "" {
			s.value, s.hidden = "", true
		}
		if strings.Contains(s.value, "://") {
			s.value = withoutPasswords(s.value)
		}
		all = append(all, s)
	})
	return all
}

// short is a duration as one writes it: 10m, not 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var (
	userInfo      = regexp.MustCompile(`(://[^:/?#@]*):[^/?#]*@`)
	userInfoTail  = regexp.MustCompile(`(://[^:/?#@]*):.*@`) // a password may have been written with / ? #
	secretInQuery = regexp.MustCompile(`(?i)([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&#]*`)
)

// withoutPasswords is a URL, also one with several hosts, for people to see.
func withoutPasswords(url string) string {
	for _, user := range []*regexp.Regexp{userInfo, userInfoTail} {
		if redacted := user.ReplaceAllString(url, "$1:xxxxx@"); redacted != url {
			url = redacted
			break
		}
	}
	return secretInQuery.ReplaceAllString(url, "${1}xxxxx")
}

// printConfig writes YAML; a comment says where a value is from that is not the default.
func printConfig(w io.Writer, o *options) error {
	if o.Config != "" {
		fmt.Fprintf(w, "# with --config %s\n", o.Config)
	}
	text := func(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v} }
	doc := &yaml.Node{Kind: yaml.MappingNode}
	add := func(key string, value *yaml.Node, comment string) {
		value.LineComment = comment
		doc.Content = append(doc.Content, text(key), value)
	}
	for _, s := range o.effective() {
		if s.hidden {
			fmt.Fprintf(w, "# %s: set by %s, and not shown\n", s.name, s.from)
			continue
		}
		value := text(s.value)
		if s.number {
			value.Tag = "!!int"
		}
		comment := s.from
		if comment == "default" {
			comment = ""
		}
		add(s.name, value, comment)
	}
	if len(o.Rooms) > 0 {
		rooms := &yaml.Node{Kind: yaml.SequenceNode}
		for _, r := range o.Rooms {
			room := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			room.Content = append(room.Content, text("match"), text(r.Match), text("history"),
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(r.History)})
			if r.TTL > 0 {
				room.Content = append(room.Content, text("ttl"), text(short(r.TTL)))
			}
			rooms.Content = append(rooms.Content, room)
		}
		add("rooms", rooms, "")
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return err
	}
	return e.Close()
}

// logStart logs what this instance is and its whole configuration, without secrets: two lines that a
// collector of logs can be asked for.
func logStart(log *slog.Logger, o *options, public, ops net.Addr) {
	log.Info("starting", "name", o.Name, "version", buildVersion(), "go", runtime.Version(),
		"cores", runtime.GOMAXPROCS(0), "listen", public.String(), "ops", ops.String())
	var attrs []any
	for _, s := range o.effective() {
		value := s.value
		if s.hidden {
			value = "(secret)"
		}
		attrs = append(attrs, slog.String(s.name, value))
	}
	for i, r := range o.Rooms {
		attrs = append(attrs, slog.String(fmt.Sprintf("rooms.%d", i), fmt.Sprintf("%s history=%d ttl=%s", r.Match, r.History, short(r.TTL))))
	}
	log.Info("configuration", attrs...)
}
