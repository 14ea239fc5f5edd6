'use strict';
// Plays ?src= from the beginning for ?seconds=, does what ?kind= asks for beside, and plays the end. It gives up after ?limit= seconds. A player is a function
// connect(video, src), of its own file, that returns
//   ready          a promise: what follows may be asked for
//   facts()        the variants, audio tracks and text tracks it has found, in words
//   cues()         the lines of subtitles it has
//   speak(n)       changes to audio track n
//   pictures(at)   shows the I-frames at these times, where it can; null: it cannot
//   leave()        ends it
// and has it fetch the first variant, never another, and as much as it may, so that what it fetches is not a matter of luck.

const video = document.getElementById('video');
const length = Number(query.length);
// Most shows are fetched whole. Of one too long for that so many seconds ahead; so too where I-frames are to take the place of what
// is not fetched yet, as Shaka has it.
const goal = { long: 10, iframes: query.player === 'shaka' ? 3 : 0 }[query.kind];
const whole = !goal;
const seconds = query.kind === 'iframes' ? 1 : Number(query.seconds);

let where = 'loading';
function at() {
  return `${where}, at ${video.currentTime.toFixed(1)} s of ${JSON.stringify(spans())}, ${pending} requests pending; errors: ${JSON.stringify(report.errors)}`;
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

let failed; // why there is no playing on
function fail(why) {
  failed = why;
}
async function until(condition) {
  while (!condition()) {
    if (failed) throw failed;
    if (performance.now() > 1000 * query.limit) throw `no further: ${at()}`;
    await sleep(50);
  }
}

// spans is what there is to play, in hundredths of a second.
function spans() {
  const all = [];
  for (let i = 0; i < video.buffered.length; i++) {
    all.push([video.buffered.start(i), video.buffered.end(i)].map(s => Math.round(s * 100) / 100));
  }
  return all;
}

// ends is up to where there is something to play, from where it plays.
function ends() {
  const span = spans().find(([from, to]) => from <= video.currentTime + 0.1 && video.currentTime <= to + 0.1);
  return span ? span[1] : 0;
}

// settled is when nothing is on the way, and nothing more is to come.
async function settled() {
  const enough = () => ends() >= (whole ? length - 0.3 : Math.min(length - 0.3, video.currentTime + goal - 0.6));
  let since = 0;
  await until(() => {
    const still = pending === 0 && enough() && !video.seeking;
    if (!still) since = 0;
    else since ||= performance.now();
    return since && performance.now() - Math.max(since, busyUntil) > 600;
  });
}

async function stage(name) {
  await settled();
  report.stages.push({ name, time: Math.round(video.currentTime * 100) / 100, buffered: spans() });
}

// goTo stops at a time that playing has not come to, however late it was stopped, so that what has been fetched then is always the same.
async function goTo(seconds) {
  video.pause();
  await settled(); // a seek gives up what is on the way
  video.currentTime = seconds;
  await stage(`at ${seconds}`);
}

// start does not wait for playing to begin: it may fail without the promise knowing.
function start() {
  video.play().catch(err => complain(`play: ${err}`));
}

async function playFor(seconds) {
  const from = video.currentTime;
  start();
  await until(() => video.ended || video.currentTime >= from + seconds);
}

// beside is what a kind has that others do not.
const beside = {
  async languages(player) {
    await goTo(4.2);
    player.speak(1);
    await stage('in the other language');
    await playFor(1);
  },
  async iframes(player) {
    await goTo(3.2);
    report.facts.pictures = await player.pictures([1.5, 7.5, 4.5]);
  },
  async long() {
    await goTo(seconds + 6.2);
    await goTo(length / 2 + 0.2);
    await playFor(1);
    await goTo(length / 2 + 7.2);
  },
};

async function run() {
  const player = connect(video, query.src);
  video.addEventListener('error', () => fail(`element: ${video.error?.message}`));
  await player.ready;
  where = 'playing';
  await playFor(seconds);
  if (whole) await settled();
  where = 'beside';
  await beside[query.kind]?.(player);
  where = 'the end';
  await goTo(Math.round(video.duration * 10) / 10 - 1.5);
  start();
  await until(() => video.ended);
  await stage('ended');
  Object.assign(report.facts, player.facts(), {
    duration: Math.round(video.duration * 100) / 100,
    size: `${video.videoWidth}x${video.videoHeight}`,
    cues: player.cues().map(c => `${c.startTime.toFixed(1)} ${c.text}`),
  });
  where = 'leaving';
  await player.leave();
}

run().catch(err => complain(`${where}: ${err?.stack ?? err}`)).then(async () => {
  while (pending) await sleep(50);
  parent.finished(query.name, JSON.parse(JSON.stringify(report)));
});
