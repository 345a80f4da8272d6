package kube

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// crd is a CustomResourceDefinition in a module of go.mod.
type crd struct{ module, path, version string }

var (
	crdScaledObject = crd{"github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_scaledobjects.yaml", "v1alpha1"}
	crdHTTPRoute    = crd{"sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml", "v1"}
)

var crdSchemas sync.Map // crd → func() (*jsonschema.Schema, error)

// decodeCRD holds a document to the schema of its CRD, and an unknown field is an error.
func decodeCRD(doc []byte, c crd) (*unstructured.Unstructured, error) {
	load, _ := crdSchemas.LoadOrStore(c, sync.OnceValues(func() (*jsonschema.Schema, error) { return loadCRD(c) }))
	schema, err := load.(func() (*jsonschema.Schema, error))()
	if err != nil {
		return nil, fmt.Errorf("the CRD %s: %w", c.path, err)
	}
	asJSON, err := yaml.ToJSON(doc)
	if err != nil {
		return nil, err
	}
	var content map[string]any
	if err := json.Unmarshal(asJSON, &content); err != nil {
		return nil, err
	}
	if err := schema.Validate(content); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: content}, nil
}

func loadCRD(c crd) (*jsonschema.Schema, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", c.module).Output()
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", c.module, err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), filepath.FromSlash(c.path)))
	if err != nil {
		return nil, err
	}
	var def struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(b, &def); err != nil {
		return nil, err
	}
	for _, v := range def.Spec.Versions {
		if v.Name != c.version {
			continue
		}
		closeObjects(v.Schema.OpenAPIV3Schema)
		compiler := jsonschema.NewCompiler()
		compiler.DefaultDraft(jsonschema.Draft4) // the one that OpenAPI v3 took its words from
		if err := compiler.AddResource(c.path, v.Schema.OpenAPIV3Schema); err != nil {
			return nil, err
		}
		return compiler.Compile(c.path)
	}
	return nil, fmt.Errorf("no version %s", c.version)
}

// closeObjects makes fields that a schema does not name an error. The metadata, of which a CRD only
// says that it is an object, stays open.
func closeObjects(node any) {
	switch n := node.(type) {
	case map[string]any:
		_, fields := n["properties"]
		_, more := n["additionalProperties"]
		open, _ := n["x-kubernetes-preserve-unknown-fields"].(bool)
		if fields && !more && !open {
			n["additionalProperties"] = false
		}
		for _, child := range n {
			closeObjects(child)
		}
	case []any:
		for _, child := range n {
			closeObjects(child)
		}
	}
}
