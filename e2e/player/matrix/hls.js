'use strict';
// hls.js.
function connect(video, src) {
  const hls = new Hls({ startLevel: 0, testBandwidth: false, startPosition: 0, maxBufferLength: whole ? 600 : goal, maxMaxBufferLength: whole ? 600 : goal });
  hls.on(Hls.Events.ERROR, (_, e) => {
    if (e.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) return; // being late is a matter of the machine; TestPlayers has an eye on it
    (e.fatal ? fail : complain)(`${e.type} ${e.details} ${e.reason || e.error?.message || ''}`);
  });
  const ready = new Promise(resolve => hls.on(Hls.Events.MANIFEST_PARSED, () => {
    hls.loadLevel = 0;
    // With little in hand it jumps what it takes for a hole, as it happens.
    resolve(query.kind === 'event' || settled());
  }));
  hls.loadSource(src);
  hls.attachMedia(video);
  return {
    ready,
    facts: () => ({
      levels: hls.levels.map(l => `${l.width}x${l.height} ${l.codecs}`),
      audio: hls.audioTracks.map(t => `${t.name} ${t.lang}`),
      text: hls.subtitleTracks.map(t => `${t.name} ${t.lang}`),
    }),
    cues: () => [...video.textTracks].flatMap(t => [...(t.cues ?? [])]),
    speak: n => { hls.audioTrack = n; },
    async pictures(times) {
      const small = document.createElement('video');
      small.muted = true;
      document.body.append(small);
      const trick = hls.createIFramePlayer();
      trick.on(Hls.Events.ERROR, (_, e) => complain(`I-frames: ${e.details} ${e.reason || e.error?.message || ''}`));
      const attached = new Promise(resolve => trick.once(Hls.Events.MEDIA_ATTACHED, resolve));
      trick.attachMedia(small);
      await attached; // what is asked for before is forgotten
      const seen = [];
      for (const time of times) {
        trick.loadMediaAt(time);
        await until(() => pending === 0 && small.readyState >= 2 && !small.seeking && Math.abs(small.currentTime - time) < 1);
        seen.push(`${small.videoWidth}x${small.videoHeight} at ${time}`);
      }
      trick.destroy();
      return seen;
    },
    leave: () => hls.destroy(),
  };
}
