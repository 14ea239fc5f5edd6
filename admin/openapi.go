package admin

import (
	_ "embed"
	"net/http"
)

// The documents that describe the two APIs. TestOpenAPI holds them against the code, both ways.
var (
	//go:embed openapi/app.json
	appAPI []byte
	//go:embed openapi/operator.json
	operatorAPI []byte
)

func (a *App) openAPI(c *call) *fault {
	c.w.Header().Set("Content-Type", plainJSON)
	_, _ = c.w.Write(appAPI) // fails when the client has gone: nobody is left to tell
	return nil
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) *problem {
	w.Header().Set("Content-Type", plainJSON)
	_, _ = w.Write(operatorAPI) // likewise
	return nil
}
