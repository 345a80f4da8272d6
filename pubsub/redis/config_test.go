package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
)

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := redis.New(redis.Config{
		URL: "http://x", Prefix: "a{b", Partitions: -1, Queue: -1,
		Retentions: pubsub.Retentions{{Match: "a", History: 1, TTL: -time.Second}, {Match: "b", History: 1 << 40}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`"http"`, `"a{b"`, "-1 Redis partitions", "queue of -1", `"a" keep`, `"b" keep`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about %s in:\n%v", part, err)
		}
	}
}

func TestAURLIsTakenOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://h":              "",
		"redis://h:1/3":          "",
		"redis://u:p%2F@h:1":     "",
		"rediss://h:1":           "",
		"redis://[::1]:1":        "",
		"":                       "empty",
		"h:6379":                 "begins with",
		"unix:///tmp/redis.sock": "begins with",
		"rediss+sentinel://u:p@a:1,b,[::1]:2/3?master=m&sentinel_user=u&sentinel_password=p": "",
		"redis+sentinel://a,b/":                "",
		"redis+sentinel://a,b/mymaster":        "database",
		"redis+sentinel://a?name=m":            `"name"`,
		"redis+sentinel://a,":                  "server",
		"redis+sentinel://":                    "server",
		"redis+sentinel://a:1:2,b":             "server 1",
		"redis+sentinel://b,a:1:2":             "server 2",
		"redis+sentinel://b,a:x":               "server 2",
		"redis+sentinel://u:secret/part@a,b":   "cannot be read",
		"redis+sentinel://u:secret,x/part@a,b": "cannot be read",
		"redis+cluster://a:1,b:2":              "",
		"redis+cluster://:p@a/0":               "",
		"rediss+cluster://a,::1":               "server 2",
		"redis+cluster://a/1":                  "only 0",
		"redis+cluster://a?master=x":           `"master"`,
		"redis+nothing://a":                    "sentinel or cluster",
		"redis+://a":                           "begins with",
		"redis://h/x":                          "database",
		"redis://u:secret/part@h:1":            "cannot be read",
		"redis://u:secret@h:port":              "cannot be read",
		"redis://u:secret@h?no_such_option=no": "not right",
	} {
		_, err := redis.New(redis.Config{URL: url})
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", url, err, want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
}

func TestMetricsThatAreTakenAreAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	if _, err := redis.New(redis.Config{URL: "redis://h", Registerer: r}); err != nil {
		t.Fatal(err)
	}
	if _, err := redis.New(redis.Config{URL: "redis://h", Registerer: r}); err == nil {
		t.Error("registered twice without an error")
	}
}
