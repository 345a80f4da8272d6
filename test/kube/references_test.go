package kube

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// monitored is the name of the one Service that the ServiceMonitor selects.
func monitored(t *testing.T, w *world) string {
	t.Helper()
	m := w.monitors["live-fanfare"]
	if m == nil || !slices.Equal(m.Spec.NamespaceSelector.MatchNames, []string{namespace}) {
		t.Fatal("no ServiceMonitor for this namespace")
	}
	var found []string
	for _, s := range w.services {
		if labels.SelectorFromSet(m.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
			found = append(found, s.Name)
			for _, e := range m.Spec.Endpoints {
				if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port }) || e.Path != "/metrics" {
					t.Errorf("Service %s has no %s%s", s.Name, e.Port, e.Path)
				}
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("the ServiceMonitor selects %v", found)
	}
	return found[0]
}

func TestPrometheusFindsTheOpsPort(t *testing.T) {
	w := mustRender(t, examples(t)["production"])
	if s := w.services[monitored(t, w)]; s.Spec.Ports[0].Port != 9090 || s.Spec.Ports[0].TargetPort.String() != "ops" {
		t.Errorf("%+v", s.Spec.Ports)
	}
	if w.monitors["live-fanfare"].Labels["release"] != "prometheus" {
		t.Error("serviceMonitor.labels are not there")
	}
}

// Whatever one object says of another is so.
func TestObjectsFindEachOther(t *testing.T) {
	for name, doc := range examples(t) {
		w := mustRender(t, doc)
		selected := func(what string, selector map[string]string) (pods []corev1.PodTemplateSpec) {
			for _, d := range w.deployments {
				if labels.SelectorFromSet(selector).Matches(labels.Set(d.Spec.Template.Labels)) {
					pods = append(pods, d.Spec.Template)
				}
			}
			if len(pods) != 1 {
				t.Errorf("%s: %s selects %d kinds of pods", name, what, len(pods))
			}
			return pods
		}
		for _, d := range w.deployments {
			selected("Deployment "+d.Name, d.Spec.Selector.MatchLabels)
			for key := range d.Spec.Selector.MatchLabels { // it cannot be changed by an upgrade
				if strings.Contains(key, "version") || strings.Contains(key, "chart") {
					t.Errorf("%s: Deployment %s selects by %s", name, d.Name, key)
				}
			}
			mounts(t, w, d.Spec.Template.Spec)
		}
		for _, b := range w.budgets {
			selected("the budget", b.Spec.Selector.MatchLabels)
		}
		for _, s := range w.services {
			for _, pod := range selected("Service "+s.Name, s.Spec.Selector) {
				c := pod.Spec.Containers[0]
				for _, p := range s.Spec.Ports {
					if !slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool { return cp.Name == p.TargetPort.String() }) {
						t.Errorf("%s: Service %s is for the port %s, which %s has not", name, s.Name, p.TargetPort.String(), c.Name)
					}
				}
			}
		}
		d, c := w.gateway(t)
		if account := d.Spec.Template.Spec.ServiceAccountName; w.accounts[account] == nil {
			t.Errorf("%s: no account %s", name, account)
		}
		for _, e := range c.Env {
			if e.Name == "FANFARE_REDIS" && name == "try" {
				host := strings.TrimSuffix(strings.TrimPrefix(e.Value, "redis://"), ":6379")
				if w.services[host] == nil {
					t.Errorf("the bundled Redis is looked for at %s", e.Value)
				}
			}
		}
	}
}

// mounts holds that volumes are there, once, and used.
func mounts(t *testing.T, w *world, pod corev1.PodSpec) {
	t.Helper()
	want := make(map[string]bool)
	for _, v := range pod.Volumes {
		want[v.Name] = true
		if v.ConfigMap != nil && w.configs[v.ConfigMap.Name] == nil {
			t.Errorf("no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if !want[m.Name] {
			t.Errorf("no volume %s", m.Name)
		}
		delete(want, m.Name)
	}
	if len(want) > 0 {
		t.Errorf("unused volumes %v", slices.Collect(maps.Keys(want)))
	}
}

// Names and labels stay within what Kubernetes takes, however long the release's name is (Helm: 53).
func TestNamesAreValid(t *testing.T) {
	for _, release := range []string{"a", "fanfare", "my-fanfare", strings.Repeat("long-name-", 6)[:53]} {
		for name, doc := range examples(t) {
			out, err := renderAs(loadChart(t), values(t, doc), release)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range decode(t, out).all {
				if errs := validation.IsDNS1035Label(o.GetName()); len(errs) > 0 {
					t.Errorf("%s, %s: %T %q: %v", release, name, o, o.GetName(), errs)
				}
				for k, v := range o.GetLabels() {
					if errs := append(validation.IsQualifiedName(k), validation.IsValidLabelValue(v)...); len(errs) > 0 {
						t.Errorf("%s, %s: label %s: %q: %v", release, name, k, v, errs)
					}
				}
			}
		}
	}
	for release, want := range map[string]string{"fanfare": "fanfare", "a": "a-fanfare", "my-fanfare": "my-fanfare"} {
		out, err := renderAs(loadChart(t), values(t), release)
		if err != nil {
			t.Fatal(err)
		}
		if w := decode(t, out); w.deployments[want] == nil {
			t.Errorf("%s: %v", release, slices.Collect(maps.Keys(w.deployments)))
		}
	}
}

func TestTheNotesSayWhatToMind(t *testing.T) {
	for name, want := range map[string][]string{
		"defaults":      {"alone, without Redis", "config.auth is none", "port-forward service/live-fanfare 8080:80", "up to 35 s"},
		"try":           {"3 instance(s), on Redis", "bundled Redis is for trying out", "config.auth is none"},
		"production":    {"3 to 30 instances", "ws.example.com/ws", "Secret fanfare-api", "custom.metrics.k8s.io", "live-fanfare-ops.chat.svc:9090/api/publish", "up to 75 s"},
		"gateway-api":   {"wss://ws.example.com/ws", "https://ws.example.com"},
		"load-balancer": {"get service live-fanfare -o wide"},
	} {
		notes := mustRender(t, examples(t)[name]).notes
		for _, w := range want {
			if !strings.Contains(notes, w) {
				t.Errorf("%s: nothing of %q in\n%s", name, w, notes)
			}
		}
		if strings.Contains(notes, "config.auth is none") != (name != "production" && name != "gateway-api") || strings.Contains(notes, "<no value>") {
			t.Errorf("%s:\n%s", name, notes)
		}
	}
	if notes := mustRender(t, "networkPolicy: {enabled: false}").notes; !strings.Contains(notes, "networkPolicy.enabled is false") {
		t.Error(notes)
	}
}
