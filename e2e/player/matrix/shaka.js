'use strict';
// Shaka Player.
function connect(video, src) {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.addEventListener('error', e => fail(`error ${e.detail?.code} ${e.detail?.category} ${e.detail?.data}`));
  player.configure({
    abr: { enabled: false, defaultBandwidthEstimate: 1 }, // the lowest
    streaming: { bufferingGoal: whole ? 600 : goal, bufferBehind: 600 },
  });
  const ready = (async () => {
    await player.attach(video);
    await player.load(src, 0);
    const [text] = player.getTextTracks();
    if (text) player.selectTextTrack(text);
  })();
  return {
    ready,
    facts: () => ({
      levels: player.getVariantTracks().map(t => `${t.width}x${t.height} ${t.codecs} ${t.language}`),
      audio: player.getAudioTracks().map(t => `${t.label} ${t.language}`),
      text: player.getTextTracks().map(t => `${t.label} ${t.language}`),
    }),
    cues: () => [...video.textTracks].flatMap(t => [...(t.cues ?? [])]),
    speak: n => player.selectAudioTrack(player.getAudioTracks()[n]),
    // The times are its own: beyond what is fetched, to its end, and back.
    async pictures() {
      player.trickPlay(2);
      await goTo(9.2);
      const seen = spans();
      player.cancelTrickPlay();
      await goTo(3.2);
      return seen;
    },
    leave: () => player.destroy(),
  };
}
