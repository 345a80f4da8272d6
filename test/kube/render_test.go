package kube

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	root     = "../.."
	chartDir = root + "/deploy/helm/fanfare"
	// kubeVersion is the release that k8s.io/api in go.mod belongs to.
	kubeVersion = "v1.37.2"

	releaseName, namespace = "live", "chat"
)

// rendered is what helm template would print.
type rendered struct {
	notes   string
	objects []object
}

// object is one document of one template.
type object struct {
	template string
	text     []byte
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads YAML as helm -f does. Later documents rank before earlier ones.
func values(t *testing.T, docs ...string) map[string]any {
	t.Helper()
	all := chartutil.Values{}
	for _, doc := range docs {
		v, err := chartutil.ReadValues([]byte(doc))
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		all = chartutil.MergeTables(v, all)
	}
	return all
}

// examples are the values files in the chart, by name, and the chart's defaults.
func examples(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"defaults": ""}
	files, err := filepath.Glob(chartDir + "/examples/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(f); name != "prometheus-adapter.yaml" { // values of another chart
			all[strings.TrimSuffix(name, ".yaml")] = string(b)
		}
	}
	return all
}

// render is helm template: the schema is checked, then the templates are carried out.
func render(c *chart.Chart, vals map[string]any) (rendered, error) {
	return renderAs(c, vals, releaseName)
}

func renderAs(c *chart.Chart, vals map[string]any, name string) (out rendered, err error) {
	caps := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(kubeVersion)
	if err != nil {
		return out, err
	}
	caps.KubeVersion = *version
	options := chartutil.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}
	top, err := chartutil.ToRenderValues(c, vals, options, caps)
	if err != nil {
		return out, err
	}
	files, err := engine.Render(c, top)
	if err != nil {
		return out, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			out.notes = files[name]
			continue
		}
		for _, doc := range documents(files[name]) {
			out.objects = append(out.objects, object{template: name, text: doc})
		}
	}
	return out, nil
}

// documents splits a template's output, and leaves out what is empty.
func documents(text string) (docs [][]byte) {
	r := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		doc, err := r.Read()
		if err != nil {
			return docs
		}
		var content any
		if yaml.Unmarshal(doc, &content) != nil || content != nil {
			docs = append(docs, doc)
		}
	}
}

// mustRender renders values and decodes all of it.
func mustRender(t *testing.T, docs ...string) *world {
	t.Helper()
	out, err := render(loadChart(t), values(t, docs...))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}
