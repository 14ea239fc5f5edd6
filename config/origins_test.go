package config

import (
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOrigins(t *testing.T) {
	c := parseGood(t, "origins.yaml")
	ca, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	want := []Origin{
		{Host: "packager", Username: "edge", Password: "hunter2", CA: ca, ConnectTimeout: 2 * time.Second, HeaderTimeout: time.Minute},
		{Host: "spare:8000", Headers: http.Header{"X-Token": {"t0ken-t0ken"}, "Authorization": {"Bearer hunter2"}}, Private: true},
	}
	if !reflect.DeepEqual(c.Origins[:2], want) {
		t.Errorf("got  %+v\nwant %+v", c.Origins[:2], want)
	}
	notices := []string{
		"origins.yaml:14: origins[7].host: is a host and port that no stream names in hls, icy or follow",
		"origins.yaml:15: origins[8].host: is a host and port that no stream names in hls, icy or follow",
		"origins.yaml:16: origins[9].host: is a host and port that no stream names in hls, icy or follow",
	}
	if got := c.Notices(); !reflect.DeepEqual(got, notices) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(notices, "\n"))
	}
}
