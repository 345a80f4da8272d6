//go:build cluster

package cluster

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/test/browser"
	"github.com/fanfare-ws/fanfare/test/queries"
)

const sockets = 300

// The phases build on one another: the subscribers of the first stay to the last, and what they have
// seen is judged at the end of each.
func TestComposeUnderLoad(t *testing.T) {
	t.Parallel()
	p := up(t, "fanfare-test", 3, "", "gateway", "haproxy", "redis", "prometheus")
	p.balanced(3)
	t.Run("the image is small and has no rights", func(t *testing.T) { image(t, p) })
	t.Run("the demo page and the chat are served through the balancer", func(t *testing.T) { chat(t, p) })

	l := subscribe(t, p.address("haproxy", 8080), sockets)
	for _, phase := range []struct {
		name string
		run  func(*testing.T, *project, *load)
	}{
		{"300 sockets are spread over three instances and all get every message once", spread},
		{"nothing acknowledged is lost when an instance is killed", kill},
		{"nor when 3 instances become 5 and then 2", scale},
		{"nor in a rolling restart", roll},
		{"an instance cut off from Redis is not ready, keeps its sockets, and heals", partition},
		{"Prometheus sees every instance and the dashboards' queries return data", observed},
	} {
		if !t.Run(phase.name, func(t *testing.T) { phase.run(t, p, l) }) {
			return // the next would say the same
		}
	}
}

func image(t *testing.T, p *project) {
	var all []struct {
		Size   int64
		Config struct {
			User       string
			Labels     map[string]string
			Entrypoint []string
		}
	}
	if err := json.Unmarshal([]byte(p.docker("image", "inspect", "fanfare:"+version)), &all); err != nil || len(all) != 1 {
		t.Fatalf("%d images, %v", len(all), err)
	}
	i := all[0]
	t.Logf("%.1f MB", float64(i.Size)/1e6)
	if i.Size >= 25e6 {
		t.Errorf("the image has %d bytes", i.Size)
	}
	if i.Config.User != "65532:65532" {
		t.Errorf("the user is %q", i.Config.User)
	}
	for label, want := range map[string]string{"version": version, "revision": "deadbeef", "licenses": "Apache-2.0", "title": "Fanfare"} {
		if got := i.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if out := p.docker("run", "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "fanfare:"+version, "version"); !strings.HasPrefix(out, "fanfare "+version+" ") {
		t.Errorf("version is %q", out)
	}
	if out, err := p.try("docker", "run", "--rm", "--entrypoint", "sh", "fanfare:"+version, "-c", "true"); err == nil {
		t.Errorf("the image has a shell: %s", out)
	}
	for _, instance := range p.instances() {
		if got := strings.TrimSpace(p.docker("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.State.Health.Status}}", instance)); got != "true [ALL] healthy" {
			t.Errorf("an instance is %s, want it read-only, without capabilities and healthy", got)
		}
	}
}

// chat has two tabs of the demo page, which the balancer gives to different instances, chat.
func chat(t *testing.T, p *project) {
	page := "http://" + p.address("haproxy", 8080) + "/"
	b := browser.Start(t)
	alice := browser.Open(t, b, page+"?name=alice&room=chat")
	alice.Await("#state", "connected")
	bob := browser.Open(t, b, page+"?name=bob&room=chat")
	bob.Await("#state", "connected")
	on := []string{strings.TrimSpace(alice.Text("#instance")), strings.TrimSpace(bob.Text("#instance"))}
	for _, instance := range on {
		if !slices.Contains(p.instances(), instance) {
			t.Errorf("a tab is on %q, which is no instance", instance)
		}
	}
	if on[0] == on[1] {
		t.Errorf("both tabs are on %s", on[0])
	}
	alice.Await("#log .event", "bob joined.")
	alice.Await("#roster li", "bobon "+on[1])
	bob.Await("#roster li", "aliceon "+on[0])
	alice.Say("hello from " + on[0])
	bob.Await(".message .body", "hello from "+on[0])
	bob.Say("and from " + on[1])
	alice.Await(".message .body", "and from "+on[1])
}

func spread(t *testing.T, p *project, l *load) {
	counts := l.spread()
	if len(counts) != 3 {
		t.Errorf("%d instances have sockets", len(counts))
	}
	for instance, n := range counts {
		if n < sockets/3-20 || n > sockets/3+20 {
			t.Errorf("%s has %d of %d sockets, far from a third", instance, n, sockets)
		}
	}
	l.during(t, func() { l.acked(t, 100) })
	if n := l.lost(); n != 0 {
		t.Errorf("%d connections were lost, and nothing was wrong", n)
	}
}

func kill(t *testing.T, p *project, l *load) {
	victim := p.instances()[0]
	had := l.spread()[victim]
	before := l.lost()
	l.during(t, func() {
		p.docker("kill", "--signal", "KILL", victim)
		until(t, "all its sockets are on other instances", func() bool { return l.spread()[victim] == 0 })
	})
	if n := l.lost() - before; had == 0 || n != int64(had) {
		t.Errorf("%d connections were lost, and the instance had %d", n, had)
	}
	p.docker("start", victim)
	p.scale(3)
}

func scale(t *testing.T, p *project, l *load) {
	old := p.instances()
	l.during(t, func() {
		p.scale(5)
		l.acked(t, 20)
		p.scale(2)
		until(t, "all sockets are on the two that are left", func() bool {
			left, counts := p.instances(), l.spread()
			return len(left) == 2 && counts[left[0]]+counts[left[1]] == sockets
		})
	})
	// Of five with sockets three were stopped, so at least one of the first three.
	stopped := 0
	for _, i := range old {
		if !slices.Contains(p.instances(), i) {
			stopped++
		}
	}
	if stopped == 0 {
		t.Error("no instance that had sockets was stopped")
	}
	p.scale(3)
}

func roll(t *testing.T, p *project, l *load) {
	old := p.instances()
	l.during(t, func() {
		if out, err := p.try(root+"/deploy/roll", p.args()[1:]...); err != nil {
			t.Fatalf("deploy/roll: %v\n%s", err, out)
		}
	})
	now := p.instances()
	if len(now) != 3 {
		t.Errorf("%d instances are left", len(now))
	}
	counts := l.spread()
	for _, i := range now {
		if slices.Contains(old, i) {
			t.Errorf("%s was not replaced", i)
		}
		if counts[i] < sockets/10 {
			t.Errorf("%s has %d of %d sockets", i, counts[i], sockets)
		}
	}
}

func partition(t *testing.T, p *project, l *load) {
	instances := p.instances()
	cut, network := instances[0], p.name+"_data"
	had, before := l.spread()[cut], l.lost()
	if had == 0 {
		t.Fatalf("%s has no sockets", cut)
	}
	l.during(t, func() {
		p.docker("network", "disconnect", network, cut)
		until(t, "the instance is not ready", func() bool { return !p.ready(cut) })
		until(t, "the alert FanfareBrokerDown fires", func() bool { return slices.Contains(p.firing(t), "FanfareBrokerDown") })
		if !p.healthy(cut) {
			t.Error("the instance that was cut off is not healthy: it would be restarted for nothing")
		}
		if got := strings.TrimSpace(p.docker("inspect", "--format", "{{.State.Health.Status}}", cut)); got != "healthy" {
			t.Errorf("Docker finds the instance that was cut off %s", got)
		}
		for _, other := range instances[1:] {
			if !p.ready(other) {
				t.Errorf("%s is not ready either", other)
			}
		}
		// The balancer gives it nothing new, and leaves it what it has.
		late := subscribe(t, p.address("haproxy", 8080), 12)
		if n := late.spread()[cut]; n != 0 {
			t.Errorf("the balancer gave %d new sockets to the instance that is not ready", n)
		}
		p.docker("network", "connect", network, cut)
		until(t, "the instance is ready again", func() bool { return p.ready(cut) })
	})
	if n := l.lost() - before; n != 0 {
		t.Errorf("%d connections were lost: sockets are to stay while Redis is away", n)
	}
	until(t, "the alert is over", func() bool { return !slices.Contains(p.firing(t), "FanfareBrokerDown") })
}

func observed(t *testing.T, p *project, l *load) {
	until(t, "Prometheus has three targets, all of them up", func() bool {
		all := p.targets(t, "fanfare")
		for _, a := range all {
			if a.Health != "up" {
				return false
			}
		}
		return len(all) == 3
	})
	if all := p.targets(t, "prometheus"); len(all) != 1 || all[0].Health != "up" {
		t.Errorf("Prometheus' own: %+v", all)
	}
	open, err := p.query(`fanfare_sockets_open`)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, s := range open {
		sum += s.value
	}
	if len(open) != 3 || sum < sockets {
		t.Errorf("sockets open: %v, want %d and more on three instances", open, sockets)
	}
	all, err := queries.Dashboard(root+"/deploy/grafana/dashboards/fanfare.json", "fanfare", "1m")
	if err != nil {
		t.Fatal(err)
	}
	l.during(t, func() { l.acked(t, 60) }) // so that there are rates
	empty := make(map[string]string)
	deadline := time.Now().Add(30 * time.Second)
	for _, q := range all {
		if strings.HasPrefix(q.Where, "annotation") { // none, when nothing was started
			if _, err := p.query(q.Expr); err != nil {
				t.Errorf("%s: %v", q.Where, err)
			}
			continue
		}
		for {
			got, err := p.query(q.Expr)
			if err != nil {
				t.Errorf("%s: %v", q.Where, err)
				break
			}
			if len(got) > 0 {
				break
			}
			if time.Now().After(deadline) {
				empty[q.Where] = q.Expr
				break
			}
			time.Sleep(poll)
		}
	}
	for where, expr := range empty {
		t.Errorf("%s returns nothing: %s", where, expr)
	}
	t.Logf("%d queries", len(all))
	rules, err := queries.Rules(root + "/deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	body, err := get("http://" + p.address("prometheus", 9090) + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if !strings.Contains(string(body), `"name":"`+r.Alert+r.Record+`"`) {
			t.Errorf("Prometheus has not loaded %s%s", r.Alert, r.Record)
		}
	}
	if strings.Contains(string(body), `"health":"err"`) {
		t.Error("Prometheus cannot evaluate a rule")
	}
	if p.grafana() {
		grafana(t, p)
	}
}

// grafana checks the real one, where its image can be had.
func grafana(t *testing.T, p *project) {
	t.Helper()
	at := "http://" + p.address("grafana", 3000)
	body, err := get(at + "/api/dashboards/uid/fanfare")
	if err != nil || !strings.Contains(string(body), `"title":"Fanfare"`) {
		t.Errorf("Grafana's dashboard: %v, %.200s", err, body)
	}
	if body, err = get(at + "/api/datasources/proxy/uid/prometheus/api/v1/query?query=fanfare_sockets_open"); err != nil || !strings.Contains(string(body), "fanfare_sockets_open") {
		t.Errorf("Prometheus through Grafana: %v, %.200s", err, body)
	}
}
