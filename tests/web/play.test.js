// SPDX-License-Identifier: Apache-2.0
// hls.js in a real Chromium plays Kinema's sessions from a page of another origin: LIVE, LIVE_REPLAY,
// ON_DEMAND, as fMP4 and as MPEG-TS, on over a stretch that has no pictures, and through one that has no sound. Playing
// means: the clock runs, frames are decoded, the picture is not one colour, and no error was fatal.

import assert from 'node:assert/strict';
import path from 'node:path';
import {after, before, test} from 'node:test';

import {open, playerSite} from './browser.js';

const {sessions, shots} = JSON.parse(process.env.KINEMA_WEB);
let site, browser, page;

before(async () => {
  site = await playerSite('hls.js/dist/hls.min.js');
  ({browser, page} = await open({viewport: {width: 1280, height: 720}}));
});

after(async () => {
  await browser?.close();
  site?.close();
});

// In the page: plays for a while and says what happened.
async function play({url, fromStart, ms, until}) {
  const video = document.getElementById('v');
  const errors = [];
  const hls = window.hls = new window.Hls({startPosition: fromStart ? 0 : -1, liveSyncDurationCount: 2});
  hls.on(window.Hls.Events.ERROR, (event, data) => errors.push({fatal: data.fatal, details: data.details}));
  const ready = new Promise((done, fail) => {
    video.onplaying = done;
    hls.on(window.Hls.Events.ERROR, (e, d) => d.fatal && fail(new Error(d.details)));
    setTimeout(() => fail(new Error('nothing played in 60 s')), 60000);
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  video.play().catch(() => {}); // settles only once there is something to play
  await ready;
  const begin = video.currentTime, began = performance.now();
  const enough = () => until ? video.currentTime > until : video.currentTime - begin > ms / 2000 && video.getVideoPlaybackQuality().totalVideoFrames > 50;
  do
    await new Promise(done => setTimeout(done, ms));
  while (!enough() && performance.now() - began < 60000);
  const took = (performance.now() - began) / 1000;
  return {
    errors, advanced: video.currentTime - begin, begin, took, colours: window.colours(video),
    width: video.videoWidth, height: video.videoHeight,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
    audioBytes: video.webkitAudioDecodedByteCount,
    date: hls.playingDate?.getTime() || 0,
  };
}

for (const session of sessions) {
  test(`${session.name} plays`, {timeout: 150000}, async () => {
    await page.goto(site.url);
    page.problems.length = 0;
    const seen = await page.evaluate(play, {url: session.url, fromStart: session.fromStart, ms: session.until ? 200 : 3000,
      until: session.until});
    await page.screenshot({path: path.join(shots, `${session.name}.png`)});
    console.log(session.name, JSON.stringify(seen));

    assert.deepEqual(seen.errors.filter(e => e.fatal), []);
    if (session.until)
      assert.ok(seen.advanced > session.until - 1, `it stands still at ${seen.begin + seen.advanced} s`);
    else assert.ok(seen.advanced > 1.5 && seen.advanced < seen.took + 1, `the clock ran ${seen.advanced} s in ${seen.took} s`);
    assert.ok(seen.frames > (session.frames ?? 50), `${seen.frames} frames were decoded`);
    assert.ok(seen.colours >= 6, `only ${seen.colours} colours are on screen`);
    assert.equal(`${seen.width}x${seen.height}`, session.size);
    assert.ok(seen.audioBytes > 0, 'no sound was decoded');
    if (session.from) // replay begins where it was asked to
      assert.ok(Math.abs(seen.begin) < 2.5, `it began at ${seen.begin}`);
    assert.deepEqual(page.problems, []);
  });
}
