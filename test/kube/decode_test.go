package kube

import (
	"fmt"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// world is all objects of a release, by kind and name.
type world struct {
	notes       string
	all         []metaObject
	configs     map[string]*corev1.ConfigMap
	services    map[string]*corev1.Service
	accounts    map[string]*corev1.ServiceAccount
	deployments map[string]*appsv1.Deployment
	budgets     map[string]*policyv1.PodDisruptionBudget
	scalers     map[string]*autoscalingv2.HorizontalPodAutoscaler
	policies    map[string]*networkingv1.NetworkPolicy
	ingresses   map[string]*networkingv1.Ingress
	routes      map[string]*gatewayv1.HTTPRoute
	monitors    map[string]*monitoringv1.ServiceMonitor
	scaled      map[string]*unstructured.Unstructured // ScaledObjects of KEDA
}

type metaObject interface {
	runtime.Object
	GetName() string
	GetNamespace() string
	GetLabels() map[string]string
}

// types are those of the current Kubernetes release, of Gateway API and of the Prometheus operator.
var types = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, gatewayv1.Install, monitoringv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// strict refuses unknown and repeated fields.
var strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, types, types, json.SerializerOptions{Yaml: true, Strict: true})

func decodeObject(doc []byte) (metaObject, error) {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return nil, err
	}
	if head.APIVersion == "keda.sh/v1alpha1" {
		return decodeCRD(doc, crdScaledObject)
	}
	o, _, err := strict.Decode(doc, nil, nil)
	if err != nil {
		return nil, err
	}
	m, ok := o.(metaObject)
	if !ok {
		return nil, fmt.Errorf("%T has no metadata", o)
	}
	if head.Kind == "HTTPRoute" { // the CRD has minima and patterns too
		_, err = decodeCRD(doc, crdHTTPRoute)
	}
	return m, err
}

// decode reads every object strictly and fails the test on any that is not of its type.
func decode(t *testing.T, r rendered) *world {
	t.Helper()
	w := &world{
		notes: r.notes, configs: map[string]*corev1.ConfigMap{}, services: map[string]*corev1.Service{},
		accounts: map[string]*corev1.ServiceAccount{}, deployments: map[string]*appsv1.Deployment{},
		budgets: map[string]*policyv1.PodDisruptionBudget{}, scalers: map[string]*autoscalingv2.HorizontalPodAutoscaler{},
		policies: map[string]*networkingv1.NetworkPolicy{}, ingresses: map[string]*networkingv1.Ingress{},
		routes: map[string]*gatewayv1.HTTPRoute{}, monitors: map[string]*monitoringv1.ServiceMonitor{},
		scaled: map[string]*unstructured.Unstructured{},
	}
	for _, doc := range r.objects {
		o, err := decodeObject(doc.text)
		if err != nil {
			t.Errorf("%s: %v\n%s", doc.template, err, doc.text)
			continue
		}
		w.all = append(w.all, o)
		switch o := o.(type) {
		case *corev1.ConfigMap:
			put(t, w.configs, o)
		case *corev1.Service:
			put(t, w.services, o)
		case *corev1.ServiceAccount:
			put(t, w.accounts, o)
		case *appsv1.Deployment:
			put(t, w.deployments, o)
		case *policyv1.PodDisruptionBudget:
			put(t, w.budgets, o)
		case *autoscalingv2.HorizontalPodAutoscaler:
			put(t, w.scalers, o)
		case *networkingv1.NetworkPolicy:
			put(t, w.policies, o)
		case *networkingv1.Ingress:
			put(t, w.ingresses, o)
		case *gatewayv1.HTTPRoute:
			put(t, w.routes, o)
		case *monitoringv1.ServiceMonitor:
			put(t, w.monitors, o)
		case *unstructured.Unstructured:
			put(t, w.scaled, o)
		default:
			t.Errorf("%s: no test looks at a %T", doc.template, o)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return w
}

func put[T metaObject](t *testing.T, in map[string]T, o T) {
	t.Helper()
	if _, there := in[o.GetName()]; there {
		t.Errorf("two %T are called %s", o, o.GetName())
	}
	in[o.GetName()] = o
}
