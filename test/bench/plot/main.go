// Command plot draws the pictures of docs/performance.md: it reads what test/bench says is to be
// drawn and writes an SVG file for each. It is a module of its own, so that the gateway does not
// depend on a plotting library.
//
//	go run . plots.json DIRECTORY
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// picture is one plot, as test/bench/plots.go writes it.
type picture struct {
	File   string `json:"file"`
	Title  string `json:"title"`
	X      string `json:"x"`
	Y      string `json:"y"`
	LogX   bool   `json:"log_x"`
	LogY   bool   `json:"log_y"`
	Steps  bool   `json:"steps"`
	Series []struct {
		Name   string       `json:"name"`
		Points [][2]float64 `json:"points"`
	} `json:"series"`
}

// colors can be told apart by the color-blind (Okabe and Ito).
var colors = []color.Color{
	color.RGBA{0x00, 0x00, 0x00, 0xff}, color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("want a file that says what to draw, and a directory for the pictures")
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var all []picture
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for _, p := range all {
		if err := p.draw(args[1]); err != nil {
			return fmt.Errorf("%s: %w", p.File, err)
		}
	}
	return nil
}

// labels are ticks whose numbers are written out, with commas.
type labels struct{ plot.Ticker }

func (l labels) Ticks(min, max float64) []plot.Tick {
	ticks := l.Ticker.Ticks(min, max)
	for i := range ticks {
		if ticks[i].IsMinor() {
			continue
		}
		whole, fraction, _ := strings.Cut(strconv.FormatFloat(ticks[i].Value, 'f', -1, 64), ".")
		for at := len(whole) - 3; at > 0; at -= 3 {
			whole = whole[:at] + "," + whole[at:]
		}
		if fraction != "" {
			whole += "." + fraction
		}
		ticks[i].Label = whole
	}
	return ticks
}

func (p picture) draw(dir string) error {
	out := plot.New()
	out.BackgroundColor = color.White
	out.Title.Text, out.X.Label.Text, out.Y.Label.Text = p.Title, p.X, p.Y
	out.Legend.Top, out.Legend.XOffs, out.Legend.Padding = true, -vg.Points(14), vg.Points(2)
	out.X.Tick.Marker, out.Y.Tick.Marker = labels{plot.DefaultTicks{}}, labels{plot.DefaultTicks{}}
	out.Add(plotter.NewGrid())
	drawn := false
	for i, s := range p.Series {
		if len(s.Points) == 0 {
			continue
		}
		drawn = true
		var xy plotter.XYs
		for _, point := range s.Points {
			xy = append(xy, plotter.XY{X: point[0], Y: point[1]})
		}
		line, marks, err := plotter.NewLinePoints(xy)
		if err != nil {
			return err
		}
		line.Color, line.Width = colors[i%len(colors)], vg.Points(1.5)
		marks.Color, marks.Shape, marks.Radius = line.Color, draw.CircleGlyph{}, vg.Points(2.5)
		if p.Steps {
			line.StepStyle = plotter.PreStep
			out.Add(line)
			out.Legend.Add(s.Name, line)
			continue
		}
		out.Add(line, marks)
		out.Legend.Add(s.Name, line, marks)
	}
	if p.LogX && drawn {
		out.X.Scale, out.X.Tick.Marker = plot.LogScale{}, labels{plot.LogTicks{}}
	}
	if p.LogY && drawn {
		out.Y.Scale, out.Y.Tick.Marker = plot.LogScale{}, labels{plot.LogTicks{}}
	} else {
		out.Y.Min = 0
		out.Y.Max *= 1.15 // room for the legend
	}
	return out.Save(18*vg.Centimeter, 11*vg.Centimeter, filepath.Join(dir, p.File))
}
