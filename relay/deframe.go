package relay

// deframer takes the metadata out of what an origin sends: after every interval bytes of audio one length byte L,
// then 16*L bytes.
type deframer struct {
	interval int // 0: there is none
	audio    int // bytes until the next length byte
	want     int // bytes of the block that have yet to come
	block    []byte
}

func newDeframer(interval int) *deframer { return &deframer{interval: interval, audio: interval} }

// next takes the next piece off p: audio, or the whole of a block with its length byte, or neither when a block has
// only begun. The block is the caller's to keep.
func (d *deframer) next(p []byte) (audio, block, rest []byte) {
	switch {
	case d.interval == 0:
		return p, nil, nil
	case d.audio > 0:
		n := min(d.audio, len(p))
		d.audio -= n
		return p[:n], nil, p[n:]
	case d.want == 0:
		return nil, nil, d.begin(p)
	}
	n := min(d.want, len(p))
	d.block = append(d.block, p[:n]...)
	if d.want -= n; d.want == 0 {
		block, d.block, d.audio = d.block, nil, d.interval
	}
	return nil, block, p[n:]
}

// begin reads the length byte.
func (d *deframer) begin(p []byte) (rest []byte) {
	if d.want = 16 * int(p[0]); d.want == 0 {
		d.audio = d.interval
	} else {
		d.block = append(make([]byte, 0, 1+d.want), p[0])
	}
	return p[1:]
}
