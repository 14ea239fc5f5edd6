'use strict';
// Plays ?src= with hls.js. Where it is refused it shows the listener why, and tries again each second, as a patient page does.

const query = new URLSearchParams(location.search);
const audio = document.getElementById('audio');
const message = document.getElementById('message');

const report = {
  refusals: [], // {status, code, detail, fetched, after}: as hls.js tells them, and as fetch does; after so many seconds played
  errors: [], // anything else that hls.js takes for fatal
  stalls: [], // seconds played at each `waiting` with nothing in hand
  slept: 0, // ms: the longest that the page has not run
  played: 0, // seconds of media in all
};

let hls, timer, last = null;

let lastBreath = performance.now();
setInterval(() => {
  const now = performance.now();
  report.slept = Math.max(report.slept, Math.round(now - lastBreath));
  lastBreath = now;
}, 25);

function inHand() {
  const { buffered, currentTime } = audio;
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}

function stop() {
  clearTimeout(timer);
  hls?.destroy();
  hls = null;
  last = null;
}

function again() {
  stop();
  timer = setTimeout(begin, 1000);
}

async function refused(e) {
  const refusal = { status: e.response.code, url: e.url || e.frag?.url || e.context?.url, after: report.played };
  again();
  try {
    const { response } = e.networkDetails; // of a segment hls.js has bytes
    Object.assign(refusal, JSON.parse(typeof response === 'string' ? response : new TextDecoder().decode(response)));
  } catch { /* a refusal that is no JSON has no code */ }
  const answer = await fetch(refusal.url);
  if (!answer.ok) Object.assign(refusal, { fetched: (await answer.json()).code });
  message.textContent = refusal.detail ?? '';
  report.refusals.push(refusal);
}

function begin() {
  hls = new Hls({ liveSyncDurationCount: 4 });
  hls.on(Hls.Events.ERROR, (_, e) => {
    if (e.response?.code >= 400) refused(e).catch(err => report.errors.push(`refusal: ${err}`));
    else if (e.fatal) {
      report.errors.push(`${e.type} ${e.details} ${e.reason || e.error?.message || ''}`);
      again();
    }
  });
  hls.on(Hls.Events.MANIFEST_PARSED, () => audio.play().catch(err => err.name === 'AbortError' || report.errors.push(`play: ${err}`)));
  hls.loadSource(query.get('src'));
  hls.attachMedia(audio);
}

audio.addEventListener('timeupdate', () => {
  if (last !== null && audio.currentTime > last) report.played += audio.currentTime - last;
  last = audio.currentTime;
});
audio.addEventListener('waiting', () => {
  if (hls && last !== null && report.played > 0 && inHand() < 1) report.stalls.push(report.played);
});

begin();
