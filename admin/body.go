package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// What apps and operators may send, and how long it may take to come.
const (
	maxBody  = 64 << 10
	bodyTime = 10 * time.Second
)

// readAll reads a body. The error is an [http.MaxBytesError] if it is too large.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// The servers limit how long a head may take, and not a body: a connection has none where it carries media.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime)) // fails where there is no connection, and nothing to wait for
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		w.Header().Set("Connection", "close") // the deadline stands: the server would wait for the rest
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	return body, nil
}

// readBody reads a JSON object into v. A member that v has not is refused: what is mistyped must not be taken for what is left out.
func readBody(w http.ResponseWriter, r *http.Request, v any) *problem {
	_, p := readObject(w, r, v)
	return p
}

// readObject is readBody, and returns what was read.
func readObject(w http.ResponseWriter, r *http.Request, v any) ([]byte, *problem) {
	body, err := readAll(w, r)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, &problem{Status: http.StatusRequestEntityTooLarge, Code: "too-large", Detail: fmt.Sprintf("a body may have %d bytes", maxBody)}
	case err != nil:
		return nil, malformedBody("it ended too early, or came too slowly")
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, malformedBody("it is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return nil, bodyProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformedBody("something stands behind its end")
	}
	return body, nil
}

// unclear refuses what encoding/json makes something of, and its writer did not mean: a member without a value, one that stands twice, one whose name is in other
// letters. The body was decoded: it is an object.
func unclear(body []byte) *problem {
	d := json.NewDecoder(bytes.NewReader(body))
	_, _ = d.Token() // the brace
	return unclearMembers(d, "")
}

func unclearMembers(d *json.Decoder, in string) *problem {
	seen := map[string]bool{}
	for d.More() {
		t, _ := d.Token()
		key, _ := t.(string)
		name := in + key
		var value json.RawMessage
		err := d.Decode(&value)
		switch {
		case strings.ContainsFunc(key, func(c rune) bool { return (c < 'a' || c > 'z') && c != '_' }):
			return invalid("there is no field %s", quote(name))
		case seen[key]:
			return invalid("%s stands twice: write it once", name)
		case err != nil || string(value) == "null" || string(value) == `""` && name != "message":
			return invalid("%s has no value: write one, or leave it out", name)
		case value[0] == '{':
			inner := json.NewDecoder(bytes.NewReader(value))
			_, _ = inner.Token()
			if p := unclearMembers(inner, name+"."); p != nil {
				return p
			}
		}
		seen[key] = true
	}
	return nil
}

func malformedBody(says string) *problem {
	return &problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "the body cannot be read: " + says}
}

// invalid is a body that can be read, and says what cannot be done.
func invalid(format string, args ...any) *problem {
	return &problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: fmt.Sprintf(format, args...)}
}

// bodyProblem says which member is wrong.
func bodyProblem(err error) *problem {
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if text, err := strconv.Unquote(name); err == nil {
			name = quote(text)
		}
		return invalid("there is no field %s", name)
	}
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return invalid("%s cannot be a JSON %s: write %s", kind.Field, kind.Value, kindName(kind.Type))
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return malformedBody("it is no JSON")
	}
	const most = 300
	says := err.Error() // of a time, or an address, that is none
	return invalid("%s", strings.ToValidUTF8(says[:min(len(says), most)], ""))
}

// kindName is what a member is to be, in JSON's words.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list of texts"
	case reflect.Struct:
		return "an object"
	}
	return "what belongs there"
}

// parseFor reads a duration as the configuration has it: 90d, 2w, 1d12h, 1h30m.
func parseFor(text string) (time.Duration, bool) {
	var total float64
	rest := text
	for _, unit := range []struct {
		letter string
		worth  time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		count, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 32)
		if err != nil {
			return 0, false
		}
		total += float64(n) * float64(unit.worth)
		rest = after
	}
	if rest != "" || text == "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || strings.HasPrefix(rest, "+") {
			return 0, false
		}
		total += float64(d)
	}
	return time.Duration(total), total < math.MaxInt64
}
