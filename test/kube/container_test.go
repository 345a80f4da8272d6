package kube

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// container is the binary, run as the kubelet would run the rendered container: its arguments, its
// variables with references replaced, its volumes.
type container struct {
	ops    string // URL of the ops port
	public string // URL of the other
	cmd    *exec.Cmd
	log    bytes.Buffer // to be read after the end
	ended  chan struct{}
	err    error // of the end
}

var redisHost = regexp.MustCompile(`[a-z][a-z0-9.-]*:(6379|6380|26379)\b`)

// start runs the gateway's container. Secrets are those of the test, by name of the Secret and key;
// more are arguments that rank before all, such as other ports.
func start(t *testing.T, w *world, secrets map[string]string, more ...string) *container {
	t.Helper()
	d, c := w.gateway(t)
	etc := t.TempDir()
	for _, m := range c.VolumeMounts {
		mount(t, w, d.Spec.Template.Spec, m, etc, secrets)
	}
	moved := func(s string) string { return strings.ReplaceAll(s, "/etc/fanfare", etc) }
	p := &container{ended: make(chan struct{})}
	p.cmd = exec.Command(built(t), append(c.Args, "--listen=127.0.0.1:0", "--ops=127.0.0.1:0")...)
	for i, a := range p.cmd.Args {
		p.cmd.Args[i] = moved(a)
	}
	p.cmd.Args = append(p.cmd.Args, more...)
	for _, e := range environment(t, c, secrets) {
		if strings.HasPrefix(e, "FANFARE_REDIS=") { // no name is looked up, and nothing listens there
			e = redisHost.ReplaceAllString(e, "127.0.0.1:1")
		}
		p.cmd.Env = append(p.cmd.Env, e)
	}
	p.cmd.Stderr = &p.log
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.ended })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if m := regexp.MustCompile(`^(page|ops) +(http.*)/$`).FindStringSubmatch(lines.Text()); m != nil && m[1] == "ops" {
			p.ops = m[2]
			break
		} else if m != nil {
			p.public = m[2]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	if p.ops == "" {
		<-p.ended
		t.Fatalf("%v, it says:\n%s", p.err, &p.log)
	}
	return p
}

// mount writes the files of a volume below a directory that stands for /etc/fanfare.
func mount(t *testing.T, w *world, pod corev1.PodSpec, m corev1.VolumeMount, etc string, secrets map[string]string) {
	t.Helper()
	dir := filepath.Join(etc, strings.TrimPrefix(m.MountPath, "/etc/fanfare"))
	files := make(map[string]string)
	for _, v := range pod.Volumes {
		switch {
		case v.Name != m.Name:
		case v.ConfigMap != nil:
			for name, text := range w.configs[v.ConfigMap.Name].Data {
				files[name] = strings.ReplaceAll(text, "/etc/fanfare", etc)
			}
		case len(v.Secret.Items) > 0:
			for _, i := range v.Secret.Items {
				files[i.Path] = secrets[v.Secret.SecretName+"/"+i.Key]
			}
		default:
			for name, value := range secrets {
				if key, ok := strings.CutPrefix(name, v.Secret.SecretName+"/"); ok {
					files[key] = value
				}
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// environment is what the kubelet makes of a container's variables.
func environment(t *testing.T, c corev1.Container, secrets map[string]string) (env []string) {
	t.Helper()
	seen := make(map[string]string)
	for _, e := range c.Env {
		value := e.Value
		for name, earlier := range seen {
			value = strings.ReplaceAll(value, "$("+name+")", earlier)
		}
		switch from := e.ValueFrom; {
		case from == nil:
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
			value = "live-fanfare-5d4f-x7"
		case from.SecretKeyRef != nil:
			var ok bool
			if value, ok = secrets[from.SecretKeyRef.Name+"/"+from.SecretKeyRef.Key]; !ok {
				t.Fatalf("no Secret for %s", e.Name)
			}
		default:
			t.Fatalf("%s from %+v", e.Name, from)
		}
		seen[e.Name] = value
		env = append(env, e.Name+"="+value)
	}
	return env
}

// status of a GET; 0 if there is no answer.
func status(url string) int {
	client := http.Client{Timeout: 5 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}

// probe asks what a probe asks.
func (p *container) probe(probe *corev1.Probe) int { return status(p.ops + probe.HTTPGet.Path) }

// becomes waits until a probe is answered with this status.
func (p *container) becomes(t *testing.T, probe *corev1.Probe, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := p.probe(probe)
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("it ended: %v\n%s", p.err, &p.log)
		case <-ctx.Done():
			t.Fatalf("%s is %d, want %d", probe.HTTPGet.Path, got, want)
		}
	}
}

// terminate does what the kubelet does after the hook: SIGTERM, and SIGKILL when the time is over.
func (p *container) terminate(t *testing.T, grace time.Duration) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("it ended with %v\n%s", p.err, &p.log)
		}
	case <-late.C:
		t.Errorf("it is still there after %s, and would be killed", grace)
	}
}

// publish posts to the API with a bearer key, if there is one, and gives the status.
func (p *container) publish(t *testing.T, key string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.ops+"/api/publish", strings.NewReader(`{"room":"a","data":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Error(fmt.Errorf("reading the answer: %w", err))
	}
	return answer.StatusCode
}
