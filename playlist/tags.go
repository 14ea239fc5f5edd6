package playlist

// use is what a URI in a playlist is for.
type use uint8

const (
	useLine      use = iota // a URI line: a segment, or a variant
	useRendition            // the playlist of an EXT-X-MEDIA
	useIFrame               // an I-frame or image playlist
	useMap                  // an initialisation section
	usePart                 // a partial segment
	useHint                 // a part or map that is to come
	useReport               // another rendition's playlist
	useKey                  // a decryption key
	useData                 // session data, interstitials
)

// tag is what the package knows of one tag.
type tag struct {
	uris    []string // attributes whose value is a URI; exact names
	use     use      // what those URIs are for
	kind    Kind     // the kind of playlist that this tag tells, if any
	decides bool     // it tells whatever else there is

	// without tells by the tag's value that it names nothing, whatever it says.
	without func(value []byte) bool

	// read takes in the tag: value is its text after the colon, res the Resource of its last URI.
	read func(p *parser, value []byte, res string)
}

var oneURI = []string{"URI"}

// tags is every tag that carries a URI, and every tag that tells something of the timeline. The tags of
// rfc8216bis are in its sections 4.4.1 to 4.4.6. SERVER-URI of EXT-X-CONTENT-STEERING is absent on purpose:
// the steering server is not ours. EXT-X-IMAGE-STREAM-INF is of the image playlist extension (thumbnails).
var tags = map[string]tag{
	"EXT-X-DEFINE": {read: (*parser).readDefine},

	"EXT-X-STREAM-INF":         {kind: KindMaster},
	"EXT-X-MEDIA":              {kind: KindMaster, uris: oneURI, use: useRendition, without: closedCaptions, read: (*parser).readChild},
	"EXT-X-I-FRAME-STREAM-INF": {kind: KindMaster, uris: oneURI, use: useIFrame, read: (*parser).readIFrames},
	"EXT-X-IMAGE-STREAM-INF":   {kind: KindMaster, uris: oneURI, use: useIFrame, read: (*parser).readIFrames},
	"EXT-X-SESSION-DATA":       {kind: KindMaster, uris: oneURI, use: useData},
	"EXT-X-SESSION-KEY":        {kind: KindMaster, uris: oneURI, use: useKey},
	"EXT-X-CONTENT-STEERING":   {kind: KindMaster},

	"EXTINF":                       {kind: KindMedia, decides: true, read: (*parser).readInf},
	"EXT-X-TARGETDURATION":         {kind: KindMedia, decides: true, read: (*parser).readTarget},
	"EXT-X-MEDIA-SEQUENCE":         {kind: KindMedia, read: (*parser).readSequence},
	"EXT-X-DISCONTINUITY-SEQUENCE": {kind: KindMedia, read: (*parser).readDiscontinuitySequence},
	"EXT-X-ENDLIST":                {kind: KindMedia, read: (*parser).readEnd},
	"EXT-X-PLAYLIST-TYPE":          {kind: KindMedia},
	"EXT-X-I-FRAMES-ONLY":          {kind: KindMedia, read: (*parser).readIFramesOnly},
	"EXT-X-PART-INF":               {kind: KindMedia, read: (*parser).readPartInf},
	"EXT-X-SERVER-CONTROL":         {kind: KindMedia},
	"EXT-X-BYTERANGE":              {kind: KindMedia, read: (*parser).readRange},
	"EXT-X-DISCONTINUITY":          {kind: KindMedia, read: (*parser).readDiscontinuity},
	"EXT-X-GAP":                    {kind: KindMedia, read: (*parser).readGap},
	"EXT-X-PROGRAM-DATE-TIME":      {kind: KindMedia, read: (*parser).readDateTime},
	"EXT-X-SKIP":                   {kind: KindMedia, read: (*parser).readSkip},
	"EXT-X-KEY":                    {kind: KindMedia, uris: oneURI, use: useKey},
	"EXT-X-MAP":                    {kind: KindMedia, uris: oneURI, use: useMap, read: (*parser).readMap},
	"EXT-X-PART":                   {kind: KindMedia, uris: oneURI, use: usePart, read: (*parser).readPart},
	"EXT-X-PRELOAD-HINT":           {kind: KindMedia, uris: oneURI, use: useHint, read: (*parser).readHint},
	"EXT-X-RENDITION-REPORT":       {kind: KindMedia, uris: oneURI, use: useReport},
	"EXT-X-DATERANGE":              {kind: KindMedia, uris: []string{"X-ASSET-URI", "X-ASSET-LIST", "X-URI"}, use: useData},
}

// named tells whether the document itself needs the name of what such a URI addresses.
func (u use) named() bool { return u != useReport && u != useData }
