package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
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
	body, err := readAll(w, r)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return &problem{Status: http.StatusRequestEntityTooLarge, Code: "too-large", Detail: fmt.Sprintf("a body may have %d bytes", maxBody)}
	case err != nil:
		return malformedBody("it ended too early, or came too slowly")
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' {
		return malformedBody("it is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bodyProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformedBody("something stands behind its end")
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
		return invalid("%s cannot be a JSON %s", kind.Field, kind.Value)
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return malformedBody("it is no JSON")
	}
	const most = 300
	says := err.Error() // of a time, or an address, that is none
	return invalid("%s", strings.ToValidUTF8(says[:min(len(says), most)], ""))
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
