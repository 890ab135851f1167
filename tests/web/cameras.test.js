// SPDX-License-Identifier: Apache-2.0
// A camera as a person adds it: the form, a look at the camera that fails and one that does not, the
// stream that comes of it, a change, and its end.

import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import {after, before, test} from 'node:test';

import {open} from './browser.js';

const {console: base, link, url, stream, film, shots} = JSON.parse(process.env.KINEMA_WEB);
const PATIENCE_MS = 60000;
let browser, page;

before(async () => {
  ({browser, page} = await open());
  page.setDefaultTimeout(PATIENCE_MS);
});
after(async () => { await browser?.close(); });

const shot = async name => {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({colorScheme});
    await page.screenshot({path: path.join(shots, `${name}-${colorScheme}.png`)});
  }
};
const form = name => `#camera-form [name=${name}]`;
const says = (selector, words) => page.waitForFunction(
  ([s, w]) => new RegExp(w).test(document.querySelector(s)?.textContent), [selector, words]);

test('the form takes an address with its password apart', async () => {
  await page.goto(link);
  await page.click('#camera-add:not([hidden])');
  await page.fill(form('name'), stream);
  await page.fill(form('url'), url.replace('://', '://viewer:not%20it@'));
  await page.press(form('url'), 'Tab');
  assert.equal(await page.inputValue(form('url')), url);
  assert.equal(await page.inputValue(form('user')), 'viewer');
  assert.equal(await page.inputValue(form('password')), 'not it');
});

test('a look says in plain words that the password is wrong', async () => {
  await page.click('#camera-look');
  await page.waitForSelector('#camera-found .verdict.bad');
  assert.match(await page.textContent('#camera-found'), /refuses this user and password/);
  await shot('camera-refused');
});

test('a look shows picture and sound that the camera offers', async () => {
  await page.fill(form('password'), 'geheim-x7q');
  await page.click('#camera-look');
  await page.waitForSelector('#camera-found .verdict.good');
  const found = await page.textContent('#camera-found');
  assert.match(found, /H\.264160×120/);
  assert.match(found, /\d fps/);
  assert.match(found, /G\.7118 kHzmono/);
  await shot('camera-form');
});

test('it is added, and recorded', async () => {
  await page.click('#camera-save');
  await page.waitForFunction(name => location.hash === `#/stream/${name}`, stream);
  await says('#camera-body', '^Recording');
  await page.waitForFunction(() => document.querySelector('#video')?.videoWidth === 160);
  assert.match(await page.textContent('#camera-body'), /viewer/);
  assert.match(await page.textContent('#facts'), /7 days/);
  await shot('camera-stream');
});

test('a change keeps the password, unless the address is another', async () => {
  await page.click('#camera-change');
  assert.equal(await page.inputValue(form('password')), '');
  await page.selectOption(form('transport'), 'tcp');
  await page.click('#camera-save');
  await says('#camera-body', 'TCP');
  await page.click('#camera-change');
  await page.fill(form('url'), 'rtsp://127.0.0.2:1/');
  await page.click('#camera-save');
  await says('#camera-error', 'give the password again');
  await page.click('#camera-close');
  assert.equal(await page.isVisible('#camera-form'), false);
});

test('a file is a camera too: it has no password, and its faults are a file’s', async () => {
  await page.click('#camera-change');
  await page.fill(form('url'), `${film}.none`);
  await page.click('#camera-look');
  await page.waitForSelector('#camera-found .verdict.bad');
  assert.match(await page.textContent('#camera-found'), /There is no such file/);
  await page.fill(form('url'), film);
  await page.fill(form('user'), '');
  await page.click('#camera-look');
  await page.waitForSelector('#camera-found .verdict.good');
  assert.match(await page.textContent('#camera-found'), /This file can be played.*320×240/);
  await shot('camera-file');
  await page.click('#camera-save');
  await says('#camera-body', '^Recording.*film.mp4');
  assert.doesNotMatch(await page.textContent('#camera-body'), /Transport/);
  await page.waitForFunction(() => document.querySelector('#video')?.videoWidth === 320);
});

test('it is removed with a second click, and what was recorded stays', async () => {
  await page.click('#camera-remove');
  await page.waitForSelector('#camera-remove.sure');
  await page.click('#camera-remove');
  await page.waitForSelector('#camera', {state: 'hidden'});
  assert.match(await page.textContent('#facts'), /Recorded since/);
  assert.deepEqual(page.problems, []);
});

test('a look ends when nobody waits for it any more', async () => {
  const silent = net.createServer(socket => { socket.unref(); }).unref(); // a camera that refuses would end the look before
  await new Promise(done => { silent.listen(0, '127.0.0.1', done); });
  await page.goto(base);
  await page.click('#camera-add:not([hidden])');
  await page.fill(form('name'), `${stream}-2`);
  await page.fill(form('url'), `rtsp://127.0.0.1:${silent.address().port}/`);
  const begun = page.waitForResponse(answer => answer.url().endsWith('/probes'));
  const ended = page.waitForResponse(answer => answer.url().endsWith('/cancel'));
  await page.click('#camera-look');
  assert.equal((await begun).status(), 200);
  await page.click('#camera-close');
  assert.equal((await ended).status(), 200);
});
