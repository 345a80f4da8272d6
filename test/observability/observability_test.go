package observability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"go.yaml.in/yaml/v3"

	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/queries"
)

const deploy = "../../deploy/"

func TestMain(m *testing.M) {
	// What panels and queries look like is their plugins' business: the schema's knowledge of those
	// that are used.
	r := cog.NewRuntime()
	r.RegisterPanelcfgVariant(stat.VariantConfig())
	r.RegisterPanelcfgVariant(timeseries.VariantConfig())
	r.RegisterDataqueryVariant(prometheus.VariantConfig())
	os.Exit(fanfaretest.Main(m))
}

func dashboards(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(deploy + "grafana/dashboards/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	return paths
}

func TestDashboardsFollowGrafanasSchema(t *testing.T) {
	uids := make(map[string]string)
	for _, path := range dashboards(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if err := wrong(d.UnmarshalJSONStrict(b)); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		d = dashboard.Dashboard{} // again, as the strict reading does not keep all that it has read
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		if err := wrong(d.Validate()); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if d.Id != nil || d.Uid == nil || *d.Uid == "" || uids[*d.Uid] != "" {
			t.Errorf("%s: wants a uid of its own and no id", path)
			continue
		}
		uids[*d.Uid] = path
		ids := make(map[uint32]bool)
		var panels []dashboard.Panel
		for _, p := range d.Panels {
			switch {
			case p.Panel != nil:
				panels = append(panels, *p.Panel)
			case ids[p.RowPanel.Id]:
				t.Errorf("%s: id %d is used twice", path, p.RowPanel.Id)
			default:
				ids[p.RowPanel.Id] = true
			}
		}
		if len(panels) < 20 {
			t.Errorf("%s: %d panels", path, len(panels))
		}
		for i, p := range panels {
			check(t, path, p, ids)
			for _, q := range panels[:i] {
				if overlap(*p.GridPos, *q.GridPos) {
					t.Errorf("%s: %q lies over %q", path, *p.Title, *q.Title)
				}
			}
		}
	}
}

// wrong is an error of the schema's, or nil: without any complaint it may return an empty list of
// them that is not nil.
func wrong(err error) error {
	if list, ok := errors.AsType[cog.BuildErrors](err); ok && len(list) == 0 {
		return nil
	}
	return err
}

func TestTheSchemaFindsWhatIsWrong(t *testing.T) {
	good := read(t, dashboards(t)[0])
	for what, change := range map[string][2]string{
		"an unknown field of a panel":           {`"gridPos"`, `"grid": 1, "gridPos"`},
		"an unknown field of a panel's options": {`"graphMode"`, `"graphicMode"`},
		"an unknown field of a query":           {`"legendFormat"`, `"legend"`},
		"a word for a number":                   {`"schemaVersion": 41`, `"schemaVersion": "41"`},
		"a month too many":                      {`"fiscalYearStartMonth": 0`, `"fiscalYearStartMonth": 12`},
	} {
		var strict, d dashboard.Dashboard
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s: the dashboard has no %s", what, change[0])
		}
		err := wrong(strict.UnmarshalJSONStrict([]byte(bad)))
		if json.Unmarshal([]byte(bad), &d) == nil {
			err = errors.Join(err, wrong(d.Validate()))
		}
		if err == nil {
			t.Errorf("%s is not found", what)
		}
	}
}

func check(t *testing.T, path string, p dashboard.Panel, ids map[uint32]bool) {
	t.Helper()
	if p.Id == nil || ids[*p.Id] {
		t.Errorf("%s: %q has no id of its own", path, *p.Title)
		return
	}
	ids[*p.Id] = true
	if p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == nil {
		t.Errorf("%s: %q has no unit", path, *p.Title)
	}
	if len(p.Targets) == 0 {
		t.Errorf("%s: %q asks nothing", path, *p.Title)
	}
	for _, target := range p.Targets {
		q, ok := target.(*prometheus.Dataquery)
		if !ok {
			t.Errorf("%s: %q asks something that is no Prometheus query: %T", path, *p.Title, target)
			continue
		}
		if q.Datasource == nil || q.Datasource.Uid == nil || *q.Datasource.Uid != "${datasource}" {
			t.Errorf("%s: %q does not ask the chosen data source", path, *p.Title)
		}
	}
}

func overlap(a, b dashboard.GridPos) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func TestProvisioningFilesHaveGrafanasForm(t *testing.T) {
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool `yaml:"isDefault"`
			Editable                     bool
			JSONData                     struct {
				TimeInterval string `yaml:"timeInterval"`
				HTTPMethod   string `yaml:"httpMethod"`
			} `yaml:"jsonData"`
		}
	}
	strict(t, deploy+"grafana/provisioning/datasources/prometheus.yml", &sources)
	if s := sources.Datasources; sources.APIVersion != 1 || len(s) != 1 || s[0].Type != "prometheus" || s[0].Access != "proxy" || !s[0].IsDefault {
		t.Errorf("data sources: %+v", sources)
	}
	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			DisableDeletion    bool `yaml:"disableDeletion"`
			AllowUIUpdates     bool `yaml:"allowUiUpdates"`
			Options            struct{ Path string }
		}
	}
	strict(t, deploy+"grafana/provisioning/dashboards/fanfare.yml", &providers)
	if p := providers.Providers; providers.APIVersion != 1 || len(p) != 1 || p[0].Type != "file" {
		t.Fatalf("dashboard providers: %+v", providers)
	}
	// What the provisioning names is where Compose puts it.
	compose := read(t, "../../docker-compose.yml")
	for _, want := range []string{
		"./deploy/grafana/dashboards:" + providers.Providers[0].Options.Path + ":ro",
		"./deploy/grafana/provisioning:/etc/grafana/provisioning:ro",
		"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: " + providers.Providers[0].Options.Path + "/fanfare.json",
	} {
		if !strings.Contains(compose, want) {
			t.Errorf("docker-compose.yml has no %q", want)
		}
	}
}

func strict(t *testing.T, path string, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(read(t, path))))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func rules(t *testing.T) []queries.Rule {
	t.Helper()
	all, err := queries.Rules(deploy + "prometheus/rules.yml")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d rules, %v", len(all), err)
	}
	return all
}

func TestEveryAlertHasARunbook(t *testing.T) {
	page := read(t, "../../docs/operations.md")
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
			t.Errorf("%s has no summary or no severity", r.Alert)
		}
		if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/operations.md#"+strings.ToLower(r.Alert)) {
			t.Errorf("%s: runbook_url is %q", r.Alert, r.Annotations["runbook_url"])
		}
		if !regexp.MustCompile(`(?m)^#+ ` + r.Alert + `$`).MatchString(page) {
			t.Errorf("docs/operations.md has no heading %s", r.Alert)
		}
	}
	known := fmt.Sprint(rules(t))
	for _, m := range regexp.MustCompile(`(?m)^#+ (Fanfare[A-Z]\w+)$`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(known, m[1]) {
			t.Errorf("docs/operations.md has %s, which is no alert", m[1])
		}
	}
}

func TestPromtoolTakesConfigurationAndRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "config", deploy + "prometheus/prometheus.yml"},
		{"check", "rules", "--lint-fatal", "--lint=all", deploy + "prometheus/rules.yml"},
		{"test", "rules", "alerts_test.yml"}, // each alert fires when it should and not before
	} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	tested := read(t, "alerts_test.yml")
	for _, r := range rules(t) {
		if r.Alert != "" && !strings.Contains(tested, "alertname: "+r.Alert+"\n") {
			t.Errorf("alerts_test.yml does not test %s", r.Alert)
		}
	}
}
