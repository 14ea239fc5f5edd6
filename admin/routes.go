package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// match tells the names in an escaped path, if it is of that form. A name is path-escaped: a key may hold any character, slashes too.
func match(form, escaped string) (names []string, ok bool) {
	want, got := strings.Split(form, "/"), strings.Split(escaped, "/")
	if len(want) != len(got) {
		return nil, false
	}
	for i, part := range want {
		text, err := url.PathUnescape(got[i])
		if err != nil {
			return nil, false
		}
		if !strings.HasPrefix(part, "{") {
			if part != text {
				return nil, false
			}
			continue
		}
		if text == "" {
			return nil, false
		}
		names = append(names, text)
	}
	return names, true
}

// allow is the Allow header of a path that has these methods: who has GET has HEAD too.
func allow(methods []string) string {
	all := slices.Clone(methods)
	if i := slices.Index(all, http.MethodGet); i >= 0 {
		all = slices.Insert(all, i+1, http.MethodHead)
	}
	return strings.Join(all, ", ")
}

// answers tells whether a way with that method is the one for the request's.
func answers(method, asked string) bool {
	return method == asked || method == http.MethodGet && asked == http.MethodHead
}
