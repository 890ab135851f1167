// SPDX-License-Identifier: Apache-2.0
// The console as a person uses it: the one-time link, the grid with a live tile, one stream, back in
// time on the bar and live again, a camera that is silent, a phone, logging in with a key, an H.265
// camera.

import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {after, before, test} from 'node:test';

import {open} from './browser.js';

const {console: base, links, key, stream, hevc, silent, standing, shots} = JSON.parse(process.env.KINEMA_WEB);
let browser, context, page;

before(async () => { ({browser, context, page} = await open()); });
after(async () => { await browser?.close(); });

const shot = (name, of = page) => of.screenshot({path: path.join(shots, `${name}.png`)});

// A <video> plays when frames have been decoded and half a second has been played; asked of what has
// been, for under load a short recording can be over before a second look.
async function playing(of, selector) {
  await of.waitForFunction(s => {
    const video = document.querySelector(s);
    let played = 0;
    for (let i = 0; i < video?.played.length; i++) played += video.played.end(i) - video.played.start(i);
    return played > 0.5 && video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 20;
  }, selector);
}

const wallClock = of => of.evaluate(() => window.kinemaView.player.wallClock());
const live = () => page.waitForFunction(() => {
  const behind = Date.now() - window.kinemaView.player.wallClock();
  return behind > 0 && behind < 15000;
});

// What has been shown of a place in the recording since it was asked for lies behind it.
async function isAt(target, asked) {
  const at = await wallClock(page), since = Date.now() - asked;
  assert.ok(at - target > -6000 && at - target < 6000 + since, `asked for ${target}, got ${at} after ${since} ms`);
  return at;
}

test('without a login the page asks for a key', async () => {
  await page.goto(base);
  await page.waitForSelector('#login-form');
  await shot('login');
});

test('the one-time link opens the grid, and the address keeps no token', async () => {
  await page.goto(links[0]);
  await page.waitForSelector(`.tile[data-name="${stream}"]`);
  assert.equal(new URL(page.url()).hash, '#/');
});

test('the tile of a live stream plays by itself, muted', async () => {
  await playing(page, `.tile[data-name="${stream}"] video`);
  assert.equal(await page.$eval('.tile video', v => v.muted), true);
  await page.waitForFunction(s => {
    const text = document.querySelector(s).textContent;
    return /LIVE/.test(text) && /(M|k)bit\/s/.test(text);
  }, `.tile[data-name="${stream}"]`);
  await page.waitForSelector(`.tile[data-name="${stream}"] .dot.good`);
  await shot('grid');
});

test('one stream plays live and says bitrate, fragment, delay and codec', async () => {
  await page.click(`.tile[data-name="${stream}"]`);
  await playing(page, '#video');
  await page.waitForFunction(() => /bit\/s/.test(document.querySelector('#facts').textContent));
  const facts = await page.textContent('#facts');
  assert.match(facts, /H\.264 \+ AAC/);
  assert.match(facts, /640×360|1280×720/);
  assert.match(await page.textContent('#state'), /LIVE/);
  await live();
  await shot('stream');
});

test('its health is a word, its charts of ten minutes, and its connection', async () => {
  await page.waitForSelector('#health-panel:not([hidden]) #health-level.good');
  assert.equal(await page.textContent('#health-level'), 'Healthy');
  assert.equal(await page.$$eval('#health-charts .chart', all => all.length), 4);
  assert.match(await page.textContent('#chart-rate'), /(M|k)bit\/s/);
  assert.match(await page.textContent('#chart-length'), /\d\.\d\d s/);
  assert.match(await page.textContent('#chart-lag'), /\d m?s/);
  assert.match(await page.textContent('#chart-gaps'), /none/);
  assert.match(await page.textContent('#health-lines'), /Connectedsince .*New connections1 in ten minutesLast errornone/);
  await page.locator('#health-panel').scrollIntoViewIfNeeded();
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({colorScheme});
    await shot(`health-${colorScheme}`);
  }
});

test('a click on the bar jumps back, and LIVE returns', async () => {
  const target = Date.now() - 12000;
  await page.evaluate(() => window.kinemaView.timeline.setSpan(120e3));
  await page.waitForTimeout(400);
  const x = await page.evaluate(ms => window.kinemaView.timeline.x(ms), target);
  const box = await (await page.$('#timeline')).boundingBox();
  const asked = Date.now();
  await page.mouse.click(box.x + x, box.y + 30);
  await page.waitForFunction(() => document.querySelector('#state').textContent === 'RECORDED');
  await playing(page, '#video');
  await isAt(target, asked);
  await shot('recorded');

  await page.click('#live');
  await page.waitForFunction(() => /LIVE/.test(document.querySelector('#state').textContent));
  await playing(page, '#video');
  await live();
});

const protocol = name => page.selectOption('#protocol', name);
const over = name => page.waitForFunction(n => (n === 'DASH') === Boolean(window.kinemaView.player.dash), name);
const MANIFEST = /\/getDASHManifest\.mpd/;

test('it plays by DASH as well, live and back in time, and by HLS again', async () => {
  await protocol('DASH');
  await over('DASH');
  await playing(page, '#video');
  await page.waitForRequest(MANIFEST); // what comes later is asked for
  await live();
  assert.match(await page.textContent('#state'), /LIVE/);
  await page.waitForFunction(() => /\d s/.test(document.querySelector('#behind')?.textContent));
  await shot('dash');

  const target = Date.now() - 10000, asked = Date.now();
  await page.evaluate(ms => window.kinemaView.jump(ms), target);
  await page.waitForFunction(() => document.querySelector('#state').textContent === 'RECORDED');
  await playing(page, '#video');
  const at = await isAt(target, asked);

  await protocol('HLS');
  await over('HLS');
  await playing(page, '#video');
  assert.ok(await wallClock(page) - at > -3000, 'it goes on where it was');
  await page.click('#live');
  await playing(page, '#video');
});

// In place of what the server answers to such an address.
const refused = [
  ['its manifest cannot be fetched', 'its manifest cannot be fetched (HTTP 500)', MANIFEST, route => route.fulfill({status: 500})],
  ['a segment cannot be fetched', 'a segment cannot be fetched (HTTP 500)', /\/dash\/.*\/getMP4/, route => route.fulfill({status: 500})],
  ['its codec cannot be decoded here', 'this browser cannot decode its picture', MANIFEST, async route => {
    const response = await route.fetch();
    const body = (await response.text()).replace(/codecs="avc1[^"]*"/g, 'codecs="hvc1.1.6.L93.B0"');
    await route.fulfill({response, body});
  }],
];

for (const [title, words, address, answer] of refused) {
  test(`when DASH fails, as ${title}, HLS plays and a line says so`, async () => {
    await page.route(address, answer);
    await protocol('DASH');
    await page.waitForFunction(() => document.querySelector('#fallback').textContent);
    assert.equal(await page.textContent('#fallback span'), `DASH failed: ${words}. HLS plays instead.`);
    await over('HLS');
    assert.equal(await page.inputValue('#protocol'), 'HLS');
    await playing(page, '#video');
    await live();
    assert.equal(await page.textContent('#message'), '');
    await page.unroute(address);
  });
}

test('DASH is tried again with a click, and a session of it that ends is followed by another', async () => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({colorScheme});
    await shot(`dash-failed-${colorScheme}`);
  }
  await page.click('#fallback button');
  await over('DASH');
  await playing(page, '#video');
  assert.equal(await page.textContent('#fallback'), '');

  const before = await page.evaluate(() => { // it has not failed of late
    window.kinemaView.player.dashFailed = undefined;
    return window.kinemaView.player.generation;
  });
  const token = route => new URL(route.request().url()).searchParams.get('SessionToken');
  let ended;
  await page.route(MANIFEST, route => token(route) === (ended ??= token(route)) ? route.fulfill({status: 404}) : route.continue());
  await page.waitForFunction(n => window.kinemaView.player.generation > n, before);
  await over('DASH');
  await playing(page, '#video');
  assert.equal(await page.textContent('#fallback'), '');
  await page.unroute(MANIFEST);
  await protocol('HLS');
  await over('HLS');
  await playing(page, '#video');
});

test('the keyboard does it too', async () => {
  await page.focus('#timeline');
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => document.querySelector('#state').textContent === 'RECORDED');
  await playing(page, '#video');
  await page.keyboard.press('End');
  await page.waitForFunction(() => /LIVE/.test(document.querySelector('#state').textContent));
});

test('a legal hold is set on the range in view, drawn on the bar, and lifted with a second click', async () => {
  await page.waitForSelector('#holds:not([hidden])');
  await page.click('#hold-add');
  await page.fill('#hold-form [name=name]', 'case-17');
  await page.fill('#hold-form [name=reason]', 'asked for by the insurer');
  await shot('hold-form');
  await page.click('#hold-form .primary');
  await page.waitForFunction(() => /case-17/.test(document.querySelector('#hold-list').textContent));
  assert.match(await page.textContent('#hold-list'), /asked for by the insurer/);
  assert.equal(await page.isHidden('#hold-form'), true);
  const [from, to] = await page.evaluate(() => {
    const [hold] = window.kinemaView.timeline.holds;
    return [hold.fromMs, hold.toMs];
  });
  assert.ok(from < Date.now() && to > from && to < Date.now() + 2000, `${from} – ${to}`);
  await shot('hold');

  await page.click('#hold-add');
  await page.fill('#hold-form [name=name]', 'case-17');
  await page.click('#hold-form .primary');
  await page.waitForFunction(() => /already/.test(document.querySelector('#hold-error').textContent));
  await page.click('#hold-cancel');

  await page.click('#hold-list button');
  await page.waitForSelector('#hold-list button.sure');
  assert.match(await page.textContent('#hold-list'), /case-17/);
  await page.click('#hold-list button');
  await page.waitForFunction(() => /None/.test(document.querySelector('#hold-list').textContent));
  assert.deepEqual(await page.evaluate(() => window.kinemaView.timeline.holds), []);
});

test('a span is saved as an MP4', async () => {
  await page.click('#clip-add');
  await page.evaluate(() => { // the last seconds, which the camera has surely sent
    const view = window.kinemaView, form = document.querySelector('#clip-form');
    const local = ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
    form.from.value = local(view.info.newestMs - 6000);
    form.to.value = local(view.info.newestMs);
  });
  await shot('clip-form');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#clip-form .primary')]);
  assert.match(download.suggestedFilename(), new RegExp(`^${stream}-\\d+\\.mp4$`));
  const file = await readFile(await download.path());
  assert.equal(file.subarray(4, 8).toString(), 'ftyp');
  assert.match(await page.textContent('#clip-state'), /are on their way/);
  await page.fill('#clip-form [name=from]', '2001-01-01T00:00:00');
  await page.fill('#clip-form [name=to]', '2001-01-01T00:01:00');
  await page.click('#clip-form .primary');
  await page.waitForFunction(() => /nothing is recorded there/.test(document.querySelector('#clip-error').textContent));
  await page.fill('#clip-form [name=to]', '2000-12-31T00:00:00');
  await page.click('#clip-form .primary');
  assert.equal(await page.textContent('#clip-error'), 'The end must be later than the start.');
  await page.click('#clip-cancel');
  assert.equal(await page.isHidden('#clip-form'), true);
});

test('fragment events are switched on, counted, and switched off', async () => {
  await page.waitForSelector('#events:not([hidden])');
  assert.match(await page.textContent('#events-state'), /^Off/);
  assert.equal(await page.inputValue('#events-stream'), 'camera-events');
  await page.check('#events-on');
  await page.waitForFunction(() => /^[1-9]\d* sent/.test(document.querySelector('#events-state').textContent));
  await shot('events');
  assert.equal(await page.getAttribute('#events-state a', 'href'), '#/data/camera-events');
  await page.uncheck('#events-on');
  await page.waitForFunction(() => /^Off/.test(document.querySelector('#events-state').textContent));
});

test('what one pastes into a client can be copied, also where the clipboard is not to be had', async () => {
  await page.click('.connect summary');
  await page.waitForSelector('.addresses code');
  const arn = await page.textContent('.addresses code');
  assert.match(arn, new RegExp(`^arn:aws:kinesisvideo:us-east-1:\\d{12}:stream/${stream}/\\d{13}$`));
  await page.evaluate(() => {
    Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true});
    document.execCommand = command => { window.copied = [command, document.activeElement.value]; return true; };
  });
  await page.click('.address .copy');
  await page.waitForFunction(() => document.querySelector('.address .copy').textContent === 'Copied');
  assert.deepEqual(await page.evaluate(() => window.copied), ['copy', arn]);
});

test('a camera that is silent comes last, with its last picture, and its last minute plays', {skip: !silent}, async () => {
  await page.goto(`${base}/#/`);
  const tile = `.tile[data-name="${silent}"]`;
  await page.waitForFunction(s => /OFFLINE/.test(document.querySelector(s)?.textContent), tile);
  await page.waitForSelector(`${tile}.past.shown video`);
  assert.equal(await page.$eval(`${tile} video`, v => v.paused), true);
  const names = await page.$$eval('.tile', all => all.map(t => t.dataset.name));
  assert.ok(names.indexOf(silent) > names.indexOf(stream), names.join());
  await shot('grid-silent');
  await page.click(tile);
  await page.waitForSelector('.stage-message button');
  assert.match(await page.textContent('#message'), /No signal since/);
  assert.equal(await page.getAttribute('#live', 'aria-pressed'), 'false');
  await shot('silent');
  await page.click('.stage-message button');
  await playing(page, '#video');
  assert.equal(await page.textContent('#state'), 'RECORDED');
});

test('a LIVE session that outlives the signal says so when its picture stands', {skip: !standing.stream}, async () => {
  const other = await (await browser.newContext()).newPage();
  other.setDefaultTimeout(90000);
  await other.goto(standing.link);
  const tile = `.tile[data-name="${standing.stream}"]`;
  await other.waitForFunction(s => /OFFLINE/.test(document.querySelector(s)?.textContent), tile);
  await other.goto(`${standing.console}/#/stream/${standing.stream}`);
  await other.waitForFunction(() => document.querySelector('#video')?.videoWidth > 0);
  await other.waitForFunction(() => /No signal since/.test(document.querySelector('#message').textContent));
  assert.equal(await other.evaluate(() => window.kinemaView.player.fails), 0);
  await other.click('.stage-message button');
  await other.waitForFunction(() => document.querySelector('#state').textContent === 'RECORDED');
  await other.close();
});

test('a stream that is not there says so, and shows the way back', async () => {
  await page.goto(`${base}/#/stream/nowhere`);
  await page.click('text=All streams');
  await page.waitForSelector(`.tile[data-name="${stream}"]`);
});

test('it is light where the system is', async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
  await page.emulateMedia({colorScheme: 'dark'});
  assert.ok(Math.max(...await ground()) < 60);
  await page.emulateMedia({colorScheme: 'light'});
  assert.ok(Math.min(...await ground()) > 200);
  await page.goto(`${base}/#/stream/${stream}`);
  await playing(page, '#video');
  await shot('light');
  await page.emulateMedia({colorScheme: 'dark'});
});

test('a used link says so', async () => {
  const other = await (await browser.newContext()).newPage();
  other.setDefaultTimeout(90000);
  await other.goto(links[0]);
  await other.waitForSelector('#login-form');
  assert.match(await other.textContent('#login-error'), /has been used/);
  await other.close();
});

test('on a phone: login by key, the picture first, then bar, facts and health, nothing wider than the screen', async () => {
  const phone = await (await browser.newContext({
    viewport: {width: 390, height: 844}, deviceScaleFactor: 2, hasTouch: true, isMobile: true,
  })).newPage();
  await phone.goto(`${base}/#/stream/${stream}`);
  await phone.waitForSelector('#login-form');
  await phone.fill('[name=accessKeyId]', key.id);
  await phone.fill('[name=secretAccessKey]', 'wrong');
  await phone.click('#login-form button');
  await phone.waitForFunction(() => document.querySelector('#login-error').textContent);
  await phone.fill('[name=secretAccessKey]', key.secret);
  await phone.click('#login-form button');
  await playing(phone, '#video');
  const width = await phone.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `the page is ${width} wide`);
  assert.ok(await phone.$eval('#crumbs', c => c.clientWidth > 0 && c.scrollWidth <= c.clientWidth), 'its name is cut off');
  await shot('phone', phone);
  await phone.tap('#stage');
  await phone.selectOption('#protocol', 'HLS'); // it can be chosen
  const tops = await phone.$$eval('#stage, .timeline-box, #facts, #health-panel, #clip, .connect',
    all => all.map(e => [e.id || e.className, e.getBoundingClientRect().top]).sort((a, b) => a[1] - b[1]).map(([name]) => name));
  assert.deepEqual(tops, ['stage', 'timeline-box', 'facts', 'health-panel', 'clip', 'panel slim connect']);
  for (const small of [390, 320]) {
    await phone.setViewportSize({width: small, height: 844});
    const right = await phone.$$eval('.controls > *', all => Math.max(...all.map(e => e.getBoundingClientRect().right)));
    assert.ok(right <= small, `controls reach to ${right} of ${small}`);
  }
  await phone.goto(`${base}/#/`);
  await phone.waitForSelector('.tile');
  await phone.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  assert.ok(await phone.evaluate(() => window.scrollY > 0));
  await phone.evaluate(name => document.querySelector(`.tile[data-name="${name}"]`).click(), stream);
  await phone.waitForSelector('#video');
  assert.equal(await phone.evaluate(() => window.scrollY), 0, 'the picture is out of sight');
  await phone.close();
});

test('a camera that this browser cannot decode is explained, not played', {skip: !hevc}, async () => {
  await page.goto(`${base}/#/stream/${hevc}`);
  await page.waitForFunction(() => /H\.265/.test(document.querySelector('#message')?.textContent));
  await shot('hevc');
});

test('what that camera recorded before, as H.264, plays', {skip: !hevc}, async () => {
  await page.waitForFunction(() => window.kinemaView.info?.oldestMs);
  await page.evaluate(() => window.kinemaView.jump(window.kinemaView.info.oldestMs));
  await playing(page, '#video');
  assert.equal(await page.textContent('#message'), '');
  await shot('hevc-before');
  await page.evaluate(() => window.kinemaView.jump(window.kinemaView.info.newestMs));
  await page.waitForFunction(() => /H\.265/.test(document.querySelector('#message')?.textContent));
});

test('logging out ends it', async () => {
  await page.goto(`${base}/#/`);
  await page.click('#logout');
  await page.waitForSelector('#login-form');
});

test('the page had no errors', () => { assert.deepEqual(page.problems, []); });
