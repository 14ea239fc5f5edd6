package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.uber.org/goleak"

	"earshot/gate"
	"earshot/session"
)

// Whatever a test of this package asks of an API, and whatever it is answered, is held against the API's document (watched); and whatever
// success the document promises some test must have seen.
func TestMain(m *testing.M) { goleak.VerifyTestMain(described{m}) }

type described struct{ *testing.M }

func (m described) Run() int {
	code := m.M.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		operators.missed()
		apps.missed()
	}
	for _, d := range []*description{operators, apps} {
		if len(d.violations) > 0 {
			code = 1
		}
		for _, v := range slices.Compact(slices.Sorted(slices.Values(d.violations))) {
			fmt.Fprintln(os.Stderr, v)
		}
	}
	return code
}

var (
	operators = describe(operatorAPI, "", "Problem")
	apps      = describe(appAPI, api, "Errors")
)

// description is an OpenAPI document, and what was found to differ from it.
type description struct {
	doc     *openapi3.T
	prefix  string // of its server
	failure string // schema of errors

	mu         sync.Mutex
	violations []string
	seen       map[string]bool // "GET /path 200"
}

func describe(text []byte, prefix, failure string) *description {
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		panic(err)
	}
	closed, err := json.Marshal(closeObjects(tree))
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(closed)
	if err != nil {
		panic(err)
	}
	return &description{doc: doc, prefix: prefix, failure: failure, seen: make(map[string]bool)}
}

// closeObjects lets schemas take no more than they say, so that nothing is answered that is not described. Clients may be told more one day.
func closeObjects(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for k := range v {
			v[k] = closeObjects(v[k])
		}
	case []any:
		for i := range v {
			v[i] = closeObjects(v[i])
		}
	}
	return v
}

func (d *description) complain(r *http.Request, status int, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.violations = append(d.violations, fmt.Sprintf("not as described: %s %s, %d: %s", r.Method, r.URL.Path, status, fmt.Sprintf(format, args...)))
}

// operation finds what the document says of a request.
func (d *description) operation(r *http.Request) (form string, op *openapi3.Operation) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), d.prefix)
	if !ok {
		return "", nil
	}
	if strings.HasPrefix(path, profiles) {
		path = profiles
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for form, item := range d.doc.Paths.Map() {
		if _, ok := match(form, path); ok {
			return form, item.GetOperation(method)
		}
	}
	return "", nil
}

// watched is a handler whose answers are held against the document.
func (d *description) watched(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent []byte
		if r.Body != nil {
			sent, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(sent))
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		d.check(r, sent, rec)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		if r.Method != http.MethodHead {
			w.Write(rec.Body.Bytes())
		}
	})
}

func (d *description) check(r *http.Request, sent []byte, rec *httptest.ResponseRecorder) {
	if rec.Code == 499 || r.Method == http.MethodOptions && rec.Code == http.StatusNoContent {
		return // nobody is left to be answered; or a browser that asks before a script
	}
	kind, _, _ := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	form, op := d.operation(r)
	if op == nil {
		schema := d.doc.Components.Schemas[d.failure]
		if rec.Code != http.StatusNotFound && rec.Code != http.StatusMethodNotAllowed && rec.Code != http.StatusUnauthorized &&
			rec.Code != http.StatusForbidden && rec.Code != http.StatusTooManyRequests {
			d.complain(r, rec.Code, "the path or method is not described, and is answered")
		}
		d.holds(r, rec.Code, schema.Value, rec.Body.Bytes())
		return
	}
	said := op.Responses.Status(rec.Code)
	if said == nil {
		d.complain(r, rec.Code, "the status is not described")
		return
	}
	d.mu.Lock()
	d.seen[r.Method+" "+form+" "+strconv.Itoa(rec.Code)] = true
	d.mu.Unlock()
	for name, header := range said.Value.Headers {
		if header.Value.Required && rec.Header().Get(name) == "" {
			d.complain(r, rec.Code, "no %s", name)
		}
	}
	if rec.Code < 300 {
		d.checkRequest(r, op, sent, rec.Code)
	}
	switch media := said.Value.Content[kind]; {
	case len(said.Value.Content) == 0 && (rec.Body.Len() > 0 || kind != ""):
		d.complain(r, rec.Code, "a body, %s, where none is described", kind)
	case len(said.Value.Content) == 0:
	case media == nil:
		d.complain(r, rec.Code, "media type %q is not described", kind)
	case strings.HasSuffix(kind, "json"):
		d.holds(r, rec.Code, media.Schema.Value, rec.Body.Bytes())
	}
}

// checkRequest sees that what was asked for with success may be asked for.
func (d *description) checkRequest(r *http.Request, op *openapi3.Operation, sent []byte, status int) {
	for name := range r.URL.Query() {
		if op.Parameters.GetByInAndName("query", name) == nil && !strings.HasPrefix(r.URL.Path, profiles) {
			d.complain(r, status, "the parameter %s is not described", name)
		}
	}
	switch {
	case len(bytes.TrimSpace(sent)) == 0:
	case op.RequestBody == nil:
		d.complain(r, status, "a body is taken, and not described")
	default:
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		media := op.RequestBody.Value.Content[kind]
		if kind == "" {
			media = op.RequestBody.Value.Content[plainJSON]
		}
		if media == nil {
			media = op.RequestBody.Value.Content["*/*"]
		}
		if media == nil {
			d.complain(r, status, "a body of type %q is taken, and not described", kind)
			return
		}
		d.holds(r, status, media.Schema.Value, sent)
	}
}

func (d *description) holds(r *http.Request, status int, schema *openapi3.Schema, text []byte) {
	if r.Method == http.MethodHead {
		return
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		d.complain(r, status, "no JSON: %v: %.100s", err, text)
		return
	}
	if err := schema.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		d.complain(r, status, "%v\n\t%.500s", err, text)
	}
}

// missed complains of what the document promises and no test was answered.
func (d *description) missed() {
	for form, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if !d.seen[method+" "+form+" "+status] {
					d.violations = append(d.violations, "no test was answered "+method+" "+form+" with "+status)
				}
			}
		}
	}
}

// Every method of every path of the code is in the documents, and every one in the documents is in the code.
func TestOpenAPI(t *testing.T) {
	var coded []string
	e := newEdge(Options{Gate: gate.New(gate.Options{Table: session.NewTable(1)})})
	for _, rt := range e.routes {
		coded = append(coded, rt.method()+" "+rt.Path)
	}
	operators.wantRoutes(t, coded)
	coded = nil
	for _, w := range NewApp(AppOptions{}).ways {
		coded = append(coded, w.method+" "+strings.TrimPrefix(w.path, api))
	}
	apps.wantRoutes(t, coded)
}

func (d *description) wantRoutes(t *testing.T, coded []string) {
	t.Helper()
	if err := d.doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(d.doc.OpenAPI, "3.1.") {
		t.Errorf("version %s", d.doc.OpenAPI)
	}
	var described []string
	ids := make(map[string]bool)
	for form, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			described = append(described, method+" "+form)
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: operationId %q", method, form, op.OperationID)
			}
			ids[op.OperationID] = true
		}
		for _, name := range strings.Split(form, "/") {
			if name, ok := strings.CutPrefix(name, "{"); ok && item.Parameters.GetByInAndName("path", strings.TrimSuffix(name, "}")) == nil {
				t.Errorf("%s: {%s is not described", form, name)
			}
		}
	}
	slices.Sort(described)
	slices.Sort(coded)
	if !slices.Equal(described, coded) {
		t.Errorf("described: %q\ncoded:     %q", described, coded)
	}
}

// A document that says less than what is answered, or other than it, is found out.
func TestDescriptionFindsLiars(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
		says   string
	}{
		"a status":   {418, `{}`, "the status is not described"},
		"a member":   {200, `{"limits":[{"name":"x","max":1,"taken":1,"more":1}],"next":""}`, "more"},
		"a type":     {200, `{"limits":[{"name":"x","max":"1","taken":1}],"next":""}`, "max"},
		"a lack":     {200, `{"limits":[]}`, "next"},
		"no problem": {400, `{"code":"bad-query"}`, "media type"},
	} {
		t.Run(name, func(t *testing.T) {
			d := describe(operatorAPI, "", "Problem")
			h := d.watched(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(answer.status)
				io.WriteString(w, answer.body)
			}))
			h.ServeHTTP(httptest.NewRecorder(), local("GET", "/admin/v1/limits"))
			if len(d.violations) != 1 || !strings.Contains(d.violations[0], answer.says) {
				t.Errorf("%q", d.violations)
			}
		})
	}
	d := describe(operatorAPI, "", "Problem")
	d.watched(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"limits":[],"next":""}`)
	})).ServeHTTP(httptest.NewRecorder(), local("GET", "/admin/v1/limits?"+url.Values{"secret": {"1"}}.Encode()))
	if len(d.violations) != 1 || !strings.Contains(d.violations[0], "secret") {
		t.Errorf("%q", d.violations)
	}
	if d.missed(); len(d.violations) < 20 {
		t.Errorf("%d", len(d.violations))
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	e := newEdge(Options{})
	if got := read[map[string]any](t, e, "/admin/v1/openapi.json"); got["openapi"] != "3.1.0" {
		t.Errorf("%v", got["openapi"])
	}
	a := apps.watched(NewApp(AppOptions{Trusted: func(*http.Request) netip.Addr { return netip.Addr{} }}))
	if got := read[map[string]any](t, a, "/api/v1/openapi.json"); got["openapi"] != "3.1.0" {
		t.Errorf("%v", got["openapi"])
	}
}
