package relay

// frame is what the header of one audio frame says.
type frame struct {
	bytes   int    // of the whole frame
	samples int64  // per channel
	rate    int64  // samples per second
	kind    uint32 // what does not change within one stream: codec, version, layer, rate
}

// frameHeader is how many bytes a header needs to be read: an ADTS header has 7, MPEG audio 4.
const frameHeader = 7

// parseFrame reads the header at the beginning of b, which holds frameHeader bytes or more. MPEG audio (ISO 11172-3,
// 13818-3 and the 2.5 extension) and ADTS (ISO 13818-7) share their first sync bits; the layer tells them apart.
func parseFrame(b []byte) (frame, bool) {
	if b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return frame{}, false
	}
	if b[1]&0xf6 == 0xf0 {
		return parseADTS(b)
	}
	return parseMPEG(b)
}

var (
	mpegRates    = [3]int64{44100, 48000, 32000} // of version 1; version 2 has half, 2.5 a quarter
	mpegBitrates = [5][16]int{                   // kbit/s; 0 is the free format, which has no length
		{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, // version 1, layer I
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    // version 1, layer II
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     // version 1, layer III
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    // version 2, layer I
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},         // version 2, layers II and III
	}
)

func parseMPEG(b []byte) (frame, bool) {
	version, layer := b[1]>>3&3, 4-b[1]>>1&3 // version: 3 is 1, 2 is 2, 0 is 2.5
	bits, rate, pad := b[2]>>4, b[2]>>2&3, int(b[2]>>1&1)
	if version == 1 || layer == 4 || rate == 3 || b[3]&3 == 2 {
		return frame{}, false
	}
	hz, table := mpegRates[rate], int(layer)-1
	switch version {
	case 2:
		hz, table = hz/2, min(2+int(layer), 4)
	case 0:
		hz, table = hz/4, min(2+int(layer), 4)
	}
	kbit := mpegBitrates[table][bits]
	if kbit == 0 {
		return frame{}, false
	}
	f := frame{rate: hz, samples: 1152, kind: uint32(b[1]&0x1e)<<8 | uint32(rate)}
	switch {
	case layer == 1:
		f.samples, f.bytes = 384, (12*kbit*1000/int(hz)+pad)*4
	case layer == 3 && version != 3:
		f.samples, f.bytes = 576, 72*kbit*1000/int(hz)+pad
	default:
		f.bytes = 144*kbit*1000/int(hz) + pad
	}
	return f, true
}

var adtsRates = [13]int64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

func parseADTS(b []byte) (frame, bool) {
	rate := b[2] >> 2 & 15
	length := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	headers := 7
	if b[1]&1 == 0 {
		headers = 9 // a CRC follows
	}
	if int(rate) >= len(adtsRates) || length <= headers {
		return frame{}, false
	}
	blocks := int64(b[6]&3) + 1
	return frame{bytes: length, samples: 1024 * blocks, rate: adtsRates[rate],
		kind: 1<<16 | uint32(b[1]&8)<<8 | uint32(rate)}, true
}

func (f frame) piece() piece {
	return piece{bytes: f.bytes, whole: true, entry: true, codec: f.codec(), samples: f.samples, rate: f.rate}
}

func (f frame) codec() string {
	if f.kind>>16 != 0 {
		return "aac"
	}
	if f.kind>>9&3 == 1 {
		return "mp3"
	}
	return "mpeg"
}
