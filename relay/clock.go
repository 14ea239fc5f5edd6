package relay

import "time"

// clock is how far the media of a run has come, ns on the media axis. It counts samples and never adds up rounded
// times, so that it does not drift.
type clock struct {
	base    int64 // where the present rate began
	samples int64 // since then
	rate    int64
}

func (c *clock) add(samples, rate int64) {
	if rate != c.rate {
		*c = clock{base: c.pos(), rate: rate}
	}
	c.samples += samples
}

// pos splits the samples into whole seconds and the rest: samples times 10⁹ would overflow after 53 hours at 48 kHz.
func (c *clock) pos() int64 {
	if c.rate == 0 {
		return c.base
	}
	whole, rest := c.samples/c.rate, c.samples%c.rate
	return c.base + whole*int64(time.Second) + rest*int64(time.Second)/c.rate
}
