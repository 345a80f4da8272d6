package kube

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// pod is one that might connect, with the labels of its namespace and its own.
type pod struct{ namespace, labels map[string]string }

func in(namespace string, own ...string) pod {
	p := pod{map[string]string{"kubernetes.io/metadata.name": namespace}, map[string]string{}}
	for i := 0; i < len(own); i += 2 {
		p.labels[own[i]] = own[i+1]
	}
	return p
}

// admits reports whether a policy lets a pod in at a port, as the API defines it: one rule is
// enough, an empty list of peers is everybody.
func admits(t *testing.T, p *networkingv1.NetworkPolicy, from pod, port string) bool {
	t.Helper()
	matches := func(s *metav1.LabelSelector, set map[string]string) bool {
		sel, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return sel.Matches(labels.Set(set))
	}
	for _, rule := range p.Spec.Ingress {
		if !slices.ContainsFunc(rule.Ports, func(r networkingv1.NetworkPolicyPort) bool { return *r.Port == intstr.FromString(port) }) {
			if len(rule.Ports) == 0 {
				t.Error("a rule is for all ports")
			}
			continue
		}
		if len(rule.From) == 0 {
			return true
		}
		for _, peer := range rule.From {
			if peer.IPBlock != nil {
				continue
			}
			ns := map[string]string{"kubernetes.io/metadata.name": p.Namespace}
			if peer.NamespaceSelector == nil && !maps.Equal(ns, from.namespace) {
				continue
			}
			if (peer.NamespaceSelector == nil || matches(peer.NamespaceSelector, from.namespace)) &&
				(peer.PodSelector == nil || matches(peer.PodSelector, from.labels)) {
				return true
			}
		}
	}
	return false
}

func TestTheOpsPortIsForPrometheusOnly(t *testing.T) {
	prometheus := in("monitoring", "app.kubernetes.io/name", "prometheus")
	backend, stranger, proxy := in(namespace, "app", "backend"), in(namespace, "app", "other"), in("ingress-nginx")
	all := examples(t)
	all["nobody"] = "networkPolicy: {prometheusFrom: []}"
	for name, doc := range all {
		w := mustRender(t, doc)
		p := w.policies["live-fanfare"]
		if p == nil || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			t.Errorf("%s: no policy", name)
			continue
		}
		d, _ := w.gateway(t)
		if !maps.Equal(p.Spec.PodSelector.MatchLabels, d.Spec.Selector.MatchLabels) {
			t.Errorf("%s: the policy is for %v", name, p.Spec.PodSelector)
		}
		for _, tt := range []struct {
			who  string
			pod  pod
			port string
			want bool
		}{
			{"Prometheus", prometheus, "ops", name != "nobody"},
			{"another pod of its namespace", in("monitoring", "app.kubernetes.io/name", "grafana"), "ops", false},
			{"a Prometheus elsewhere", in("other", "app.kubernetes.io/name", "prometheus"), "ops", false},
			{"the backend", backend, "ops", name == "production"},
			{"a backend elsewhere", in("other", "app", "backend"), "ops", false},
			{"a stranger", stranger, "ops", false},
			{"the proxy", proxy, "ops", false},
			{"a stranger", stranger, "http", name != "production"},
			{"the proxy", proxy, "http", true},
		} {
			if got := admits(t, p, tt.pod, tt.port); got != tt.want {
				t.Errorf("%s: %s may reach the port %s: %v", name, tt.who, tt.port, got)
			}
		}
	}
}

// Only the Service of the cluster has the ops port, and the other is the only one that may leave it.
func TestTheOpsPortIsNeverPublic(t *testing.T) {
	all := examples(t)
	all["node port"] = "service: {type: NodePort}"
	for name, doc := range all {
		w := mustRender(t, doc)
		for _, s := range w.services {
			public := s.Name == "live-fanfare"
			for _, port := range s.Spec.Ports {
				if public != (port.TargetPort.String() == "http") {
					t.Errorf("%s: Service %s has the port %s", name, s.Name, port.TargetPort.String())
				}
			}
			if !public && s.Spec.Type != "ClusterIP" {
				t.Errorf("%s: Service %s is a %s", name, s.Name, s.Spec.Type)
			}
		}
		for _, i := range w.ingresses {
			for _, r := range i.Spec.Rules {
				for _, path := range r.HTTP.Paths {
					if b := path.Backend.Service; b.Name != "live-fanfare" || b.Port.Name != "http" {
						t.Errorf("%s: the Ingress leads to %+v", name, b)
					}
				}
			}
		}
		for _, r := range w.routes {
			for _, rule := range r.Spec.Rules {
				for _, b := range rule.BackendRefs {
					if s := w.services[string(b.Name)]; s == nil || s.Name != "live-fanfare" || int32(*b.Port) != s.Spec.Ports[0].Port {
						t.Errorf("%s: the HTTPRoute leads to %+v", name, b.BackendObjectReference)
					}
				}
			}
		}
	}
}

func TestTheBundledRedisIsForTheInstancesOnly(t *testing.T) {
	w := mustRender(t, examples(t)["try"], "networkPolicy: {enabled: false}")
	p := w.policies["live-fanfare-redis"]
	if p == nil || len(w.policies) != 1 {
		t.Fatalf("%v", w.policies)
	}
	d, _ := w.gateway(t)
	if !admits(t, p, pod{in(namespace).namespace, d.Spec.Template.Labels}, "redis") || admits(t, p, in(namespace), "redis") {
		t.Errorf("%+v", p.Spec)
	}
	if !maps.Equal(p.Spec.PodSelector.MatchLabels, w.deployments["live-fanfare-redis"].Spec.Selector.MatchLabels) {
		t.Errorf("the policy is for %v", p.Spec.PodSelector)
	}
	if !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) || len(p.Spec.Egress) != 0 {
		t.Error("it may connect elsewhere")
	}
}

func TestEgressIsToRedisAndDNS(t *testing.T) {
	ports := func(doc string) (got []string) {
		p := mustRender(t, doc).policies["live-fanfare"]
		for _, r := range p.Spec.Egress {
			for _, port := range r.Ports {
				got = append(got, port.Port.String())
			}
			if len(r.To) == 0 && r.Ports[0].Port.String() != "53" {
				t.Errorf("%q: everywhere at %s", doc, r.Ports[0].Port)
			}
		}
		return got
	}
	for doc, want := range map[string][]string{
		"": nil,
		"networkPolicy: {egress: {enabled: true}}\nredis: {bundled: {enabled: true}}": {"53", "53", "6379"},
		examples(t)["production"]: {"53", "53", "6379", "26379"},
	} {
		if got := ports(doc); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", doc, got)
		}
	}
}

// A controller that cuts quiet sockets after its default of a minute would cut nearly all of them.
func TestTheIngressKeepsQuietSockets(t *testing.T) {
	host := "ingress: {enabled: true, websocketTimeoutSeconds: 1800, hosts: [{host: a.example}], controller: "
	for controller, want := range map[string]map[string]string{
		"''": nil,
		"ingress-nginx": {
			"nginx.ingress.kubernetes.io/proxy-read-timeout": "1800", "nginx.ingress.kubernetes.io/proxy-send-timeout": "1800",
		},
		"f5-nginx": {
			"nginx.org/websocket-services": "live-fanfare", "nginx.org/proxy-read-timeout": "1800s", "nginx.org/proxy-send-timeout": "1800s",
		},
		"haproxy-ingress": {"haproxy-ingress.github.io/timeout-tunnel": "1800s"},
		"alb": {
			"alb.ingress.kubernetes.io/target-type":              "ip",
			"alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=1800",
			"alb.ingress.kubernetes.io/target-group-attributes":  "deregistration_delay.timeout_seconds=35",
			"alb.ingress.kubernetes.io/healthcheck-path":         "/healthz",
		},
	} {
		i := mustRender(t, host+controller+"}").ingresses["live-fanfare"]
		if !maps.Equal(i.Annotations, want) {
			t.Errorf("%s: %v", controller, i.Annotations)
		}
	}
	// The user's own rank before.
	i := mustRender(t, host+"haproxy-ingress, annotations: {haproxy-ingress.github.io/timeout-tunnel: 2h, a: b}}").ingresses["live-fanfare"]
	if want := map[string]string{"haproxy-ingress.github.io/timeout-tunnel": "2h", "a": "b"}; !maps.Equal(i.Annotations, want) {
		t.Errorf("%v", i.Annotations)
	}
}

func TestTheRouteHasNoTimeout(t *testing.T) {
	w := mustRender(t, examples(t)["gateway-api"])
	rule := w.routes["live-fanfare"].Spec.Rules[0]
	if *rule.Timeouts.Request != "0s" || *rule.Timeouts.BackendRequest != "0s" {
		t.Errorf("%+v", rule.Timeouts)
	}
	if p := w.services["live-fanfare"].Spec.Ports[0].AppProtocol; p == nil || *p != "kubernetes.io/ws" {
		t.Errorf("the gateway is not told that it speaks WebSocket: %v", p)
	}
	if p := mustRender(t, "").services["live-fanfare"].Spec.Ports[0].AppProtocol; p != nil {
		t.Errorf("appProtocol %s without a route", *p)
	}
	w = mustRender(t, examples(t)["gateway-api"], "httpRoute: {timeouts: null}\nsecrets: {tls: {name: a}}")
	if w.routes["live-fanfare"].Spec.Rules[0].Timeouts != nil || *w.services["live-fanfare"].Spec.Ports[0].AppProtocol != "kubernetes.io/wss" {
		t.Errorf("%+v", w.routes["live-fanfare"].Spec.Rules[0])
	}
}

// A page of https://HOST is of the gateway's own host, but behind a proxy the gateway cannot know.
func TestPagesOfTheHostsMayOpenSockets(t *testing.T) {
	host := "ingress: {enabled: true, hosts: [{host: a.example}, {host: b.example}, {}], tls: [{hosts: [b.example]}]}\n"
	route := "httpRoute: {enabled: true, parentRefs: [{name: a}], hostnames: [c.example, '*.d.example']}\n"
	for doc, want := range map[string][]any{
		"":    nil,
		host:  {"http://a.example", "https://b.example"},
		route: {"https://c.example", "https://*.d.example"},
		host + "config: {origins: ['https://app.example']}":         {"https://app.example"},
		host + "config: {trusted-proxies: [10.0.0.0/8]}":            nil,
		strings.Replace(host, "enabled: true", "enabled: false", 1): nil,
	} {
		got, _ := mustRender(t, doc).config(t)["origins"].([]any)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", doc, got, want)
		}
	}
}
