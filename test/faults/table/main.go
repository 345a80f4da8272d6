// Command table writes the rows that the fault scenarios appended to a file into a document,
// between two markers:
//
//	go run ./test/faults/table ROWS DOCUMENT
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/fanfare-ws/fanfare/test/faults"
)

const (
	begin = "<!-- table: test/faults/run --table -->\n"
	end   = "<!-- end of table -->\n"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: table ROWS DOCUMENT")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(rows, document string) error {
	table, err := faults.Table(rows)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return fmt.Errorf("%s has no lines %q and %q", document, begin, end)
	}
	return os.WriteFile(document, []byte(before+begin+table+end+after), 0o644)
}
