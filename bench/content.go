package main

import (
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"earshot/playlist/playlisttest"
)

// Where the origin has what is asked for, and where both servers have it.
const (
	masterPath = "/live/master.m3u8"
	variants   = 6

	shortVariant = 0 // ten segments of 64 KiB
	wideVariant  = 1 // ten of 1 MiB
	longVariant  = 2 // six hundred, which nobody asks for
)

// content is everything that the origin serves, by path. It is the same in every process, so that whoever gets it can check it.
var content = sync.OnceValue(func() map[string][]byte {
	const first, window, length = 2680, 10, 6 * time.Second
	files := map[string][]byte{masterPath: []byte(playlisttest.Master(variants))}
	for v := range variants {
		segments, size := window, 64<<10
		switch v {
		case wideVariant:
			size = 1 << 20
		case longVariant:
			segments = 600
		}
		dir := fmt.Sprintf("/live/v%d/", v)
		files[dir+"index.m3u8"] = []byte(playlisttest.Live(first, segments, length))
		for i := range min(segments, window) {
			files[fmt.Sprintf("%sseg-%d.ts", dir, first+i)] = noise(byte(v), byte(i), size)
		}
	}
	return files
})

// noise is what no compression makes smaller, as media is.
func noise(a, b byte, size int) []byte {
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{a, b}).Read(body)
	return body
}

const (
	playlistType = "application/vnd.apple.mpegurl"
	segmentType  = "video/mp2t"
)

func contentType(name string) string {
	if path.Ext(name) == ".m3u8" {
		return playlistType
	}
	return segmentType
}
