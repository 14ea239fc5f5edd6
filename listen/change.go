package listen

import "strings"

// Move notes from where the session is heard from now on; "" is unknown. The slice that is open becomes an event of there: a session that
// is heard at two places at once shall not make an event of each request.
func (a *Account) Move(ip, agent, country string) {
	a.change(func(w *Who) { w.IP, w.UserAgent, w.Country = ip, agent, country })
}

// Identify notes who listens, where that was found out after the session began. What is empty stays as it is.
func (a *Account) Identify(user, device, deviceType string) {
	a.change(func(w *Who) {
		for _, s := range [...]struct {
			field *string
			value string
		}{{&w.UserID, user}, {&w.DeviceID, device}, {&w.DeviceType, deviceType}} {
			if s.value != "" {
				*s.field = s.value
			}
		}
	})
}

// change replaces who it is, and has the journal name the account anew.
func (a *Account) change(f func(*Who)) {
	if a.changes(f) {
		return
	}
	if next, ok := a.book.Find(a.who.Load().Key); ok && next != a { // the session goes on there
		next.changes(f)
	}
}

// changes reports whether the account is open. Of one that is closed it is what its successor would begin with.
func (a *Account) changes(f func(*Who)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	who := a.Who()
	f(&who)
	if who = who.clip(who.Edge); who != *a.who.Load() {
		kept := who.clone()
		a.who.Store(&kept)
		a.unwritten, a.file = true, 0 // the next frames name it first
	}
	return !a.closed
}

// clone keeps nothing alive of what the texts stood in, such as the head of a request.
func (w Who) clone() Who {
	for _, s := range w.texts() {
		*s = strings.Clone(*s)
	}
	return w
}
