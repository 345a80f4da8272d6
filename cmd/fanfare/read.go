package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// read fills the options from the command line, the environment and the file, in that order of
// rank, checks them, and reports all that is wrong. Asked for help it prints it and returns
// flag.ErrHelp.
func (o *options) read(args, environ []string, help io.Writer) error {
	fs := o.flags()
	quiet(fs)
	err := readArgs(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		printFlags(help, fs)
		return flag.ErrHelp
	}
	given := make(map[string]bool)
	o.from = make(map[string]string)
	note := func(source string) {
		for name := range given {
			if o.from[name] == "" {
				o.from[name] = source
			}
		}
	}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	note("flag")
	err = errors.Join(err, readEnv(fs, environ, given))
	note("environment")
	if o.Config != "" {
		err = errors.Join(err, readFile(o.Config, fs, given, &o.Rooms))
	}
	note("file")
	if err = errors.Join(err, o.check()); err != nil {
		return fmt.Errorf("%w\nsee fanfare serve --help", err)
	}
	if o.Name == "" {
		o.Name, _ = os.Hostname()
	}
	return nil
}

// readArgs reads the command line to its end, whatever is wrong on the way.
func readArgs(fs *flag.FlagSet, args []string) error {
	var errs []error
	for {
		err := fs.Parse(args)
		rest := fs.Args()
		switch {
		case errors.Is(err, flag.ErrHelp):
			return err
		case err != nil:
			errs = append(errs, err)
			for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") { // an unknown flag's value
				rest = rest[1:]
			}
		case len(rest) > 0:
			errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
		}
		if err == nil || len(rest) == len(args) { // at its end, or at what Parse does not get past
			return errors.Join(errs...)
		}
		args = rest
	}
}

// foreign are variables in the environment that are no options of serve: those of the other
// commands and of tests, and what Kubernetes sets for a service called fanfare or fanfare-….
var foreign = regexp.MustCompile(`^FANFARE_(TOKEN|TEST_.*|(.*_)?SERVICE_(HOST|PORT(_.*)?)|(.*_)?PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// readEnv sets what the environment has and the command line has not given. A variable that is no
// option is an error: a misspelt one would else be passed over.
func readEnv(fs *flag.FlagSet, environ []string, given map[string]bool) error {
	names := make(map[string]string)
	fs.VisitAll(func(f *flag.Flag) {
		names["FANFARE_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))] = f.Name
	})
	var errs []error
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		name := names[key]
		switch {
		case !strings.HasPrefix(key, "FANFARE_"), given[name], name == "" && foreign.MatchString(key):
			continue
		case name == "":
			errs = append(errs, fmt.Errorf("%s in the environment is no option: they are the flags in capitals, with _ for -", key))
			continue
		}
		given[name] = true
		if err := fs.Set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: invalid value %q: %w", key, value, err))
		}
	}
	return errors.Join(errs...)
}

// readFile sets what the file has and nothing else has given, which it then counts as given, and
// rooms, which only a file can give.
func readFile(path string, fs *flag.FlagSet, given map[string]bool, rooms *pubsub.Retentions) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var doc yaml.Node // nodes keep a value as it was written: 0123 stays a key, not a number
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("--config: %s: %w", path, err)
	}
	if doc.Kind == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil // empty, or nothing but comments
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("--config: %s: want lines of key: value", path)
	}
	var (
		errs []error
		seen []string
	)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		bad := func(format string, a ...any) {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, key.Line, fmt.Errorf(format, a...)))
		}
		name := key.Value
		f := fs.Lookup(name)
		switch {
		case name == "rooms":
			if *rooms, err = readRooms(value); err != nil {
				bad("rooms: %w", err)
			}
			continue
		case f == nil || name == "config":
			bad("unknown key %q: the keys are the flags, without the dashes before them", name)
			continue
		case slices.Contains(seen, name):
			bad("%s is given twice", name)
			continue
		}
		seen = append(seen, name)
		text, err := yamlText(value, isList(f))
		if err == nil && !given[name] {
			if err = fs.Set(name, text); err != nil {
				err = fmt.Errorf("invalid value %q: %w", text, err)
			}
			given[name] = true
		}
		if err != nil {
			bad("%s: %w", name, err)
		}
	}
	return errors.Join(errs...)
}

// yamlText is a YAML value as one would give it on the command line.
func yamlText(n *yaml.Node, list bool) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return yamlText(n.Alias, list)
	case n.ShortTag() == "!!null":
		return "", errors.New("it has no value: give one, or remove the key")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode && list:
		parts := make([]string, len(n.Content))
		for i, c := range n.Content {
			var err error
			if parts[i], err = yamlText(c, false); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, ","), nil
	}
	if list {
		return "", errors.New("want a value or a list of values")
	}
	return "", errors.New("want one value")
}
