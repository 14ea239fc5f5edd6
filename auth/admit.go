package auth

import (
	"context"
	"errors"
	"time"
)

func refuse(code, detail string, cause error) *Refusal {
	return &Refusal{Code: code, Detail: detail, Cause: cause}
}

func invalid(detail string, cause error) error { return refuse(TokenInvalid, detail, cause) }

// Admit says who asks to begin a session, or why he may not. The error is a [*Refusal].
//
// A token or a signed URL is asked for first, if they are configured; a token counts where both are there. The backend is asked after that, with what they proved, or alone.
func (a *Auth) Admit(ctx context.Context, r *Request) (Identity, error) {
	id, err := a.Prove(ctx, r)
	if err != nil {
		return id, err
	}
	return a.Ask(ctx, r, id)
}

// Prove is the part of Admit that asks nobody: what a token or a signed URL prove, if they are configured.
func (a *Auth) Prove(ctx context.Context, r *Request) (Identity, error) {
	c := a.credentials(r)
	return a.proof(ctx, r, &c)
}

// Ask is the rest of it: the backend's word on whom Prove has found, if there is a backend.
func (a *Auth) Ask(ctx context.Context, r *Request, id Identity) (Identity, error) {
	if a.backend == nil {
		return id, nil
	}
	c := a.credentials(r)
	if len(c.any()) > maxToken {
		return a.metrics.decided(byCallback, Identity{}, invalid("the token is too long", nil))
	}
	id, err := a.backend.admit(ctx, r, id, &c)
	return a.metrics.decided(byCallback, id, err)
}

// proof is what a token or a signature prove.
func (a *Auth) proof(ctx context.Context, r *Request, c *credentials) (Identity, error) {
	switch {
	case a.tokens != nil && c.token != "":
		id, err := a.token(ctx, r, c.token)
		return a.metrics.decided(byJWT, id, err)
	case a.urls != nil && a.urls.has(r.RawQuery):
		id, err := a.urls.check(r, time.Now())
		return a.metrics.decided(bySigned, id, err)
	case a.tokens != nil:
		return a.metrics.decided(byNothing, Identity{}, refuse(TokenRequired, "a token is required", nil))
	case a.urls != nil:
		return a.metrics.decided(byNothing, Identity{}, refuse(TokenRequired, "a signed URL is required", nil))
	}
	return Identity{}, nil
}

func (a *Auth) token(ctx context.Context, r *Request, raw string) (Identity, error) {
	id, c, err := a.tokens.check(ctx, raw)
	if err != nil {
		return Identity{}, err
	}
	ok, err := a.tokens.allows(c, r.Group)
	switch {
	case err != nil:
		return Identity{}, malformed(err)
	case !ok:
		return Identity{}, refuse(NotAllowed, "the token is for another stream", nil)
	}
	return id, nil
}

// Again asks the backend about a session that goes on, when id.Again has come. If it does not answer, the former decision stands. The error is a [*Refusal].
func (a *Auth) Again(ctx context.Context, r *Request, id Identity) (Identity, error) {
	if a.backend == nil {
		id.Again = time.Time{}
		return id, nil
	}
	next, err := a.backend.again(ctx, r, id)
	return a.metrics.decided(byCallback, next, err)
}

// Restore takes up what an earlier process left: sessions that were not over. Call it before anybody is let in.
func (a *Auth) Restore(ctx context.Context) error {
	if a.removals == nil {
		return nil
	}
	return a.removals.restore(ctx)
}

// Begun notes that a session has begun here, and returns the ID of its removal; 0 if it has no ticket. What an earlier process left of the session is over with
// it from now on. It never blocks, and neither do those that follow.
func (a *Auth) Begun(r Removal) (id int64) {
	if a.removals == nil {
		return 0
	}
	a.removals.resume(place{r.SessionID, r.Group})
	if r.Ticket == "" {
		return 0
	}
	return a.removals.begin(r)
}

// Also notes that the backend was asked once more about a session that goes on, and said yes. Where it counts such questions it hears as many removals.
func (a *Auth) Also(r Removal) {
	if a.removals != nil && a.backend.dialect.counts() {
		a.removals.hold(r)
	}
}

// Ended tells the backend that a session is over: of its ticket, if it has one, and of those that it holds beside.
func (a *Auth) Ended(r Removal) {
	if a.removals == nil {
		return
	}
	a.removals.release(&r)
	if r.Ticket != "" {
		a.removals.add(r)
	}
}

// Removed tells the backend that a session is over, of its own ticket only.
func (a *Auth) Removed(r Removal) {
	if a.removals != nil {
		a.removals.add(r)
	}
}

// User says whose token an app shows for its user's own sessions. The error is a [*Refusal].
func (a *Auth) User(ctx context.Context, bearer string) (Identity, error) {
	id, err := a.user(ctx, bearer)
	return a.metrics.decided(byApp, id, err)
}

func (a *Auth) user(ctx context.Context, bearer string) (Identity, error) {
	if bearer == "" {
		return Identity{}, refuse(TokenRequired, "a token is required", nil)
	}
	if a.tokens == nil {
		return Identity{}, invalid("the token is not valid", errors.New("users' tokens are not configured (auth.jwt)"))
	}
	id, _, err := a.tokens.check(ctx, bearer)
	if err != nil {
		return Identity{}, err
	}
	if id.User == "" {
		return Identity{}, invalid("the token is not valid", errors.New("it names no user"))
	}
	return id, nil
}
