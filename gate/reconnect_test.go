package gate

import (
	"testing"
	"time"

	"earshot/session"
)

// TestAppsRadioReconnects: a radio that an app has made a session for keeps being its user's when its connection breaks, or it changes the station: the app's id in the URL is
// all that there is to know him by. It takes no second seat, and is gone when it does not come back.
func TestAppsRadioReconnects(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		made, _, err := r.Make(r.t.Context(), Play{User: "ann", Service: "radio", DeviceType: "car"})
		if err != nil {
			t.Fatal(err)
		}
		car := r.player("", "", phone, "Car")
		plays := func(mount string) *seated {
			t.Helper()
			seat, ok := r.AppSeat(r.t.Context(), made.Key.ID)
			if !ok {
				t.Fatal("the app's session is not known any more")
			}
			v := r.Admit(r.t.Context(), &Request{Key: session.Key{ID: made.Key.ID, Group: mount}, Kind: session.ICY, Starts: true, App: &seat,
				Listener: session.Listener{Address: car.at(), Agent: car.agent}})
			r.want(v, "")
			if l := v.Session.Listener(); l.UserID != "ann" || l.DeviceType != "car" {
				t.Fatalf("it is %+v now", l)
			}
			return car.listen(v.Session)
		}
		for _, mount := range []string{"kpcc", "kpcc", "kqed", "kpcc", "kqed"} {
			c := plays(mount)
			flow(5*time.Second, c)
			c.Leave()
			time.Sleep(5 * time.Second)
			car.address = map[string]string{home: phone, phone: home}[car.address]
			r.want(r.player("ann", "", "198.51.100.7", "TV").start("news"), TooManySessions)
			if usage, err := r.Usage(r.t.Context(), "", 2); err != nil || len(usage) != 1 || usage[0].Taken != 1 {
				t.Fatalf("%+v %v", usage, err)
			}
		}
		time.Sleep(2 * time.Minute)
		if _, ok := r.AppSeat(r.t.Context(), made.Key.ID); ok {
			t.Error("it never goes")
		}
		r.want(r.player("ann", "", "198.51.100.7", "TV").start("news"), "")
	})
}

// TestHandedBack: a session that was handed to one who turned out to be another is his again who listens on. Nothing that he asks for says so.
func TestHandedBack(t *testing.T) {
	door(t, Options{Limits: perUser(1)}, func(r *rig) {
		ann := r.player("ann", "", home, "Radio")
		first, v := ann.connect("kpcc")
		r.want(v, "")
		s := v.Session
		flow(10*time.Second, first)
		eve := r.player("ann", "", phone, "Phone")
		r.want(r.Renew(r.t.Context(), s, Visit{Address: eve.at(), Agent: eve.agent, Starts: true}), "")
		second := eve.listen(s)
		flow(2*time.Minute, first, second)
		if first.cut.Load() != nil || second.cut.Load() == nil {
			t.Fatalf("first cut: %v, second: %v", first.cut.Load(), second.cut.Load())
		}
		if l := s.Listener(); l.Address != ann.at() || l.Agent != ann.agent {
			t.Errorf("it is charged to %v %q, who was refused", l.Address, l.Agent)
		}
	})
}
