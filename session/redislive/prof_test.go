package redislive
import ("testing";"context";"fmt")
func TestProf(t *testing.T){ s:=startServer(t); r:=newRace(t,s,"p","reject",3600e9); r.run(5000,24); fmt.Println(s.ask.Info(context.Background(),"commandstats").Val()) }
