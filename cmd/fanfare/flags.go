package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// quiet keeps a flag set from printing, since errors are returned, and has it say what it wants.
func quiet(fs *flag.FlagSet) {
	fs.SetOutput(io.Discard)
	fs.VisitAll(func(f *flag.Flag) {
		if g, ok := f.Value.(flag.Getter); ok {
			switch g.Get().(type) {
			case int:
				f.Value = wanting{g, "want a whole number"}
			case time.Duration:
				f.Value = wanting{g, "want a time such as 30s or 5m"}
			}
		}
	})
}

// wanting is a flag's value that says what it wants, where package flag says "parse error".
type wanting struct {
	flag.Value
	what string
}

func (w wanting) Set(s string) error {
	was := w.Value.String()
	if w.Value.Set(s) != nil {
		_ = w.Value.Set(was) // package flag leaves 0, which would be complained of too
		return errors.New(w.what)
	}
	return nil
}

// printFlags is the help: a line for the flag, its unit and default, and what it does.
func printFlags(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "%s runs a gateway until SIGTERM; other commands: fanfare help.\n\n", fs.Name())
	fmt.Fprintf(w, "Each flag is also FANFARE_… in the environment (FANFARE_MAX_SOCKETS), and a key of the file given\nwith --config. A flag ranks before the environment, that before the file.\n\n")
	eachFlag(w, fs)
}

func eachFlag(w io.Writer, fs *flag.FlagSet) {
	fs.VisitAll(func(f *flag.Flag) {
		unit, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%s %s", f.Name, unit)
		if f.DefValue != "" {
			fmt.Fprintf(w, "  (default %s)", f.DefValue)
		}
		fmt.Fprintf(w, "\n        %s\n", text)
	})
}

// list is a flag of several values, separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Set(s string) error {
	*l = nil
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			*l = append(*l, v)
		}
	}
	return nil
}

// isList reports whether a flag takes several values.
func isList(f *flag.Flag) bool {
	switch f.Value.(type) {
	case *list, *prefixes:
		return true
	}
	return false
}

// prefixes is a flag of several networks.
type prefixes []netip.Prefix

func (p *prefixes) String() string {
	var s []string
	for _, x := range *p {
		s = append(s, x.String())
	}
	return strings.Join(s, ",")
}

func (p *prefixes) Set(s string) error {
	*p = nil
	var l list
	_ = l.Set(s) // never fails
	for _, v := range l {
		n, err := netip.ParsePrefix(v)
		if a, addrErr := netip.ParseAddr(v); addrErr == nil {
			n, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("%q is no network: write it like 10.0.0.0/8", v)
		}
		*p = append(*p, n)
	}
	return nil
}

// size is a flag in bytes: 65536, 64KiB, 1MiB.
type size int

func (s *size) String() string {
	switch n := int(*s); {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	default:
		return strconv.Itoa(n)
	}
}

func (s *size) Set(v string) error {
	number, shift := v, 0
	for suffix, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, ok := strings.CutSuffix(v, suffix); ok {
			number, shift = n, by
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 || n > (1<<31-1)>>shift {
		return errors.New("want bytes, or a size such as 64KiB or 1MiB, below 2GiB")
	}
	*s = size(n << shift)
	return nil
}
