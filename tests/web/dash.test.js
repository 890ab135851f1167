// SPDX-License-Identifier: Apache-2.0
// dash.js in a real Chromium plays Kinema's sessions from a page of another origin: LIVE, LIVE_REPLAY,
// ON_DEMAND, and where codec parameters change. Playing means: the clock runs, frames are decoded, the
// picture is not one colour, and there was no error; after a seek it plays there.

import assert from 'node:assert/strict';
import path from 'node:path';
import {after, before, test} from 'node:test';

import {open, playerSite} from './browser.js';

const {sessions, shots} = JSON.parse(process.env.KINEMA_WEB);
let site, browser, page;

before(async () => {
  site = await playerSite('dashjs/dist/modern/umd/dash.mediaplayer.min.js');
  ({browser, page} = await open({viewport: {width: 1280, height: 720}}));
});

after(async () => {
  await browser?.close();
  site?.close();
});

// In the page: plays, seeks, plays on; what was seen.
async function play({url, seekTo, until}) {
  const video = document.getElementById('v');
  const errors = [];
  const player = window.dashjs.MediaPlayer().create();
  player.updateSettings({debug: {logLevel: window.dashjs.Debug.LOG_LEVEL_NONE}});
  player.on(window.dashjs.MediaPlayer.events.ERROR, e => errors.push(e.error?.message || String(e.error)));
  player.initialize(video, url, true);

  // the clock passes `seconds` from where it stands
  const advance = async seconds => {
    const begin = performance.now();
    let from = null;
    while (from === null || video.currentTime - from < seconds) {
      if (performance.now() - begin > 60000)
        throw new Error(`stands at ${video.currentTime} (ready ${video.readyState}): ${errors}`);
      await new Promise(done => setTimeout(done, 50));
      if (from === null && video.readyState >= 3 && !video.paused && !video.seeking)
        from = video.currentTime;
    }
    return from;
  };
  const begin = await advance(2);
  const sizes = new Set([`${video.videoWidth}x${video.videoHeight}`]);
  video.addEventListener('resize', () => sizes.add(`${video.videoWidth}x${video.videoHeight}`));
  const before = window.colours(video);
  const target = seekTo < 0 ? video.currentTime + seekTo : seekTo;
  video.currentTime = target;
  const resumed = await advance(until ? until - target : 2);
  const seen = {
    errors, begin, target, resumed, before, after: window.colours(video), sizes: [...sizes],
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    audioBytes: video.webkitAudioDecodedByteCount, duration: player.duration(),
  };
  player.reset();
  return seen;
}

for (const session of sessions) {
  test(`${session.name} plays and seeks`, {timeout: 240000}, async () => {
    await page.goto(site.url);
    page.problems.length = 0;
    const seen = await page.evaluate(play, session);
    await page.screenshot({path: path.join(shots, `${session.name}.png`)});
    console.log(session.name, JSON.stringify(seen));

    assert.deepEqual(seen.errors, []);
    assert.ok(seen.frames > 50, `${seen.frames} frames were decoded`);
    assert.ok(seen.before >= 6 && seen.after >= 6, 'a picture of one colour');
    assert.ok(Math.abs(seen.resumed - seen.target) < 1.5, `${seen.target} was asked for, ${seen.resumed} played`);
    assert.deepEqual(seen.sizes.sort(), session.sizes);
    if (session.sound) assert.ok(seen.audioBytes > 0, 'no sound was decoded');
    if (session.fromStart) assert.ok(Math.abs(seen.begin) < 2.5, `it began at ${seen.begin}`);
    assert.deepEqual(page.problems, []);
  });
}
