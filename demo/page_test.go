package demo

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	page := Page(PageConfig{HLS: "/demo/master.m3u8", ICY: "/demo/radio.mp3", Counts: `/counts?of="demo"`})
	w := get(page, "/")
	text := w.Body.String()
	for _, want := range []string{
		`<audio id="hls" controls preload="none" src="/demo/master.m3u8"`,
		`<audio id="icy" controls preload="none" src="/demo/radio.mp3"`,
		`data-counts="/counts?of=&#34;demo&#34;"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	// The policy admits the style and the script as they stand in the document.
	policy := w.Header().Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		inline := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindStringSubmatch(text)
		if inline == nil || !strings.Contains(policy, tag+"-src "+hash(inline[1])) {
			t.Errorf("%s is not what the policy admits: %s", tag, policy)
		}
	}
	if foreign := regexp.MustCompile(`(?:src|href|action|url\()\W*(?:https?:)?//`).FindString(text); foreign != "" {
		t.Errorf("fetches from elsewhere: %s", foreign)
	}
}

func TestPageMethods(t *testing.T) {
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "OPTIONS": 405} {
		w := httptest.NewRecorder()
		Page(PageConfig{}).ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		if w.Code != status {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}
