package e2e
import ("testing";"fmt")
func TestZZ(t *testing.T) {
	for i := range 200 { t.Run(fmt.Sprint(i), func(t *testing.T){ t.Parallel(); startIcecast(t) }) }
}
