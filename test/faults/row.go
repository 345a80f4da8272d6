package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// Row is one run of a scenario.
type Row struct {
	Scenario    string        `json:"scenario"`
	Seed        uint64        `json:"seed"`
	Subscribers int           `json:"subscribers"`
	Tally       Tally         `json:"tally"`
	Heal        time.Duration `json:"heal_ns"`    // from the end of the fault until all is as it was
	Refused     time.Duration `json:"refused_ns"` // the longest that a publisher waited for `unavailable`; 0: none did
}

const header = "| scenario | seed | acked | subscribers | lost | duplicated | reordered | silent gaps | misplaced | gaps told | told lost | slowest `unavailable` | time to heal |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"

// String is a line of the table.
func (r Row) String() string {
	t, refused := r.Tally, "–"
	if r.Refused > 0 {
		refused = fmt.Sprintf("%.2f s", r.Refused.Seconds())
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %.2f s |", r.Scenario, r.Seed, t.Acked, r.Subscribers,
		t.Lost, t.Duplicated, t.Reordered, t.Silent, t.Mislaid, t.Gaps, t.Told, refused, r.Heal.Seconds())
}

// Append adds the row to a file, one JSON object a line.
func (r Row) Append(path string) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// Table is the rows that were appended to a file, as Markdown.
func Table(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(header)
	for line := range strings.Lines(string(b)) {
		var r Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintln(&out, r)
	}
	return out.String(), nil
}
