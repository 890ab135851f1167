// SPDX-License-Identifier: Apache-2.0
// Streams of video and of data as a person makes, changes and deletes them; what is wrong stands below its
// field; and a login whose key may do none of it.

import assert from 'node:assert/strict';
import path from 'node:path';
import {after, before, test} from 'node:test';

import {open} from './browser.js';

const {console: base, link, reader, taken, recorded, held, shots} = JSON.parse(process.env.KINEMA_WEB);
const PATIENCE_MS = 60000;
let browser, context, page;

before(async () => {
  ({browser, context, page} = await open());
  page.setDefaultTimeout(PATIENCE_MS);
});
after(async () => { await browser?.close(); });

const shot = async (name, of = '#main') => {
  for (const [colorScheme, width] of [['light', 390], ['dark', 1280]]) {
    await page.emulateMedia({colorScheme});
    await page.setViewportSize({width, height: 860});
    await page.locator(of).scrollIntoViewIfNeeded();
    await fits();
    await page.screenshot({path: path.join(shots, `${name}-${width}.png`)});
  }
  await page.setViewportSize({width: 1280, height: 860});
};
const says = (selector, words) => page.waitForFunction(
  ([s, w]) => new RegExp(w).test(document.querySelector(s)?.textContent), [selector, words]);
const at = (form, name) => `#${form} [name=${name}]`;
const fact = label => page.evaluate(text => [...document.querySelectorAll('.facts div')].find(
  div => div.firstChild.textContent === text)?.lastChild.textContent, label);
const becomes = async (label, value) => {
  await page.waitForFunction(([l, v]) => [...document.querySelectorAll('.facts div')].some(
    div => div.firstChild.textContent === l && div.lastChild.textContent === v), [label, value]);
};
const fits = async () => assert.ok(await page.evaluate(
  () => document.documentElement.scrollWidth <= document.documentElement.clientWidth), 'it is wider than the window');

test('a stream is made, by the keyboard alone', async () => {
  await page.goto(link);
  await page.focus('#stream-add:not([hidden])');
  await page.keyboard.press('Enter');
  await page.keyboard.type('gate-7');
  await page.keyboard.press('Tab');
  await page.keyboard.press('3'); // "30 days": a select goes to what is typed
  await page.keyboard.press('Tab');
  await page.keyboard.type('video/h264');
  await shot('new-video');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash === '#/stream/gate-7');
  await becomes('Kept for', '30 days');
});

test('a name that is taken is said below the name, until it is changed', async () => {
  await page.goto(base);
  await page.click('#stream-add:not([hidden])');
  await page.fill(at('new-video', 'name'), taken);
  await page.selectOption(at('new-video', 'keep'), 'custom');
  await page.fill(at('new-video', 'keepNumber'), '11');
  await page.selectOption(at('new-video', 'keepUnit'), {label: 'years'});
  await page.click('#new-video .primary');
  assert.equal(await page.isVisible('#new-video'), true, 'eleven years are more than can be kept');
  await page.fill(at('new-video', 'keepNumber'), '2');
  await page.click('#new-video .primary');
  await says('#new-video .complaint', `${taken} already exists`);
  assert.equal(await page.evaluate(() => document.activeElement.name), 'name');
  assert.equal(await page.getAttribute(at('new-video', 'name'), 'aria-invalid'), 'true');
  await shot('new-video-taken');
  await page.fill(at('new-video', 'name'), 'gate-8');
  assert.equal(await page.textContent('#new-video .complaint'), '');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash === '#/stream/gate-8');
  await becomes('Kept for', '730 days');
});

test('retention is changed, and what goes with it is said before', async () => {
  await page.goto(`${base}/#/stream/${recorded}`);
  await page.waitForSelector('#settings:not([hidden])');
  assert.equal(await page.isVisible('#settings .actions'), false);
  await page.selectOption(at('settings-form', 'keep'), '8760');
  await page.click('#settings .actions .primary');
  await page.waitForSelector('#settings .actions', {state: 'hidden'});
  await becomes('Kept for', '365 days');

  await page.fill(at('settings-form', 'limit'), '0.0001');
  await says('#settings .note', 'The oldest .* removed for good');
  await page.waitForSelector('#settings .actions .danger');
  await page.selectOption(at('settings-form', 'keep'), '0');
  await says('#settings .note', 'All that is recorded is removed');
  await shot('settings', '#settings .delete');
  await page.click('#settings .undo');
  assert.equal(await page.inputValue(at('settings-form', 'keep')), '8760');
  assert.equal(await page.inputValue(at('settings-form', 'limit')), '');
  await page.fill(at('settings-form', 'limit'), '5');
  await page.press(at('settings-form', 'limit'), 'Enter');
  await page.waitForSelector('#settings .actions', {state: 'hidden'});
  await page.reload();
  await page.waitForSelector('#settings:not([hidden])');
  assert.equal(await page.inputValue(at('settings-form', 'limit')), '5');
});

test('times that count from zero are told instead of a lag', async () => {
  await says('#chart-lag', 'clock from zero');
  assert.ok(await page.$$eval('#chart-lag rect', bars => bars.every(bar => bar.getAttribute('height') === '0.00')));
});

test('a change that came between is not overwritten', async () => {
  const other = await context.newPage();
  for (const one of [page, other]) {
    await one.goto(`${base}/#/stream/gate-7`);
    await one.selectOption(`#settings:not([hidden]) [name=keep]`, one === page ? '24' : '168');
  }
  await other.click('#settings .actions .primary');
  await other.waitForSelector('#settings .actions', {state: 'hidden'});
  await page.click('#settings .actions .primary');
  await says('#settings .form-error', 'changed elsewhere');
  await page.click('#settings .actions .primary'); // on top of what holds now
  await page.waitForSelector('#settings .actions', {state: 'hidden'});
  await becomes('Kept for', '1 day');
  await other.close();
});

test('tags are added and removed', async () => {
  const key = 'site-of-the-camera-in-the-yard', value = 'north/gate/of/the/second/building';
  await page.fill(at('tags-form', 'key'), key);
  await page.fill(at('tags-form', 'value'), value);
  await page.keyboard.press('Enter');
  await says('#settings .tag-list', key + value);
  for (const text of await page.$$('#settings .tag-list li > :not(button)'))
    assert.ok((await text.boundingBox()).width > 80, 'it stands a letter a line');
  await page.click(`[aria-label="Remove the tag ${key}"]`);
  await page.waitForSelector('#settings .tag-list', {state: 'hidden'});
});

test('a stream is deleted once its name is typed', async () => {
  await page.goto(`${base}/#/stream/${recorded}`);
  await page.click('#settings .delete');
  await says('#delete .what', 'All that is recorded goes with it, for good: .* since');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'typed');
  assert.equal(await page.isVisible('#delete .consumers'), false);
  await page.keyboard.type(recorded.slice(0, -1));
  assert.equal(await page.isDisabled('#delete .danger'), true);
  await page.keyboard.press('Enter');
  assert.equal(await page.isVisible('#delete'), true);
  await page.keyboard.type(recorded.slice(-1));
  await shot('delete');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash === '#/');
  await page.waitForFunction(name => !document.querySelector(`[data-name="${name}"]`), recorded);
});

test('a stream with a hold says that it cannot be deleted', async () => {
  await page.goto(`${base}/#/stream/${held}`);
  await page.click('#settings .delete');
  await page.fill(at('delete', 'typed'), held);
  await page.click('#delete .danger');
  await says('#delete .form-error', 'legal hold');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#delete', {state: 'hidden'});
});

test('a server out of reach is said wherever one looks, until it is back', async () => {
  await page.locator('#settings .delete').scrollIntoViewIfNeeded();
  assert.ok(await page.evaluate(() => window.scrollY > 0));
  await page.route('**/kinema/v1/**', route => route.abort());
  await says('#health', 'out of reach');
  const {y, height} = await page.locator('#health').boundingBox();
  assert.ok(y >= 0 && y + height <= 860, `it stands at ${y}`);
  await page.unroute('**/kinema/v1/**');
  await page.waitForFunction(() => !document.querySelector('#health').textContent);
});

test('a data stream is made, scaled, and kept for longer', async () => {
  await page.goto(`${base}/#/data`);
  await page.click('#data-add:not([hidden])');
  await page.fill(at('new-data', 'name'), 'doors');
  await page.fill(at('new-data', 'shards'), '3');
  await page.selectOption(at('new-data', 'keep'), {label: '7 days'});
  await shot('new-data');
  await page.click('#new-data .primary');
  await page.waitForFunction(() => location.hash === '#/data/doors');
  await becomes('Open shards', '3');
  assert.equal(await fact('Kept for'), '7 days');

  await page.fill(at('data-settings-form', 'shards'), '9');
  assert.equal(await page.evaluate(() => document.querySelector('#data-settings-form').checkValidity()), false, 'more than double');
  await page.fill(at('data-settings-form', 'shards'), '6');
  await page.selectOption(at('data-settings-form', 'keep'), '24');
  await shot('data-settings', '#data-settings .delete');
  await page.click('#data-settings .actions .primary');
  await becomes('Open shards', '6');
  await becomes('Kept for', '1 day');
  await page.selectOption(at('data-settings-form', 'mode'), 'ON_DEMAND');
  await page.click('#data-settings .actions .primary');
  await becomes('Mode', 'on demand');
});

test('a data stream that consumers are registered with is deleted with them', async () => {
  await page.goto(`${base}/#/data/${taken}`);
  await page.click('#data-settings .delete');
  await page.fill(at('delete', 'typed'), taken);
  await page.click('#delete .danger');
  await page.waitForSelector('#delete .consumers:not([hidden])');
  assert.match(await page.textContent('#delete .consumers'), /the consumer that is registered/);
  await shot('delete-data');
  await page.check(at('delete', 'consumers'));
  await page.click('#delete .danger');
  await page.waitForFunction(() => location.hash === '#/data');
  await page.waitForFunction(name => !document.querySelector(`[data-name="${name}"]`), taken);
  assert.deepEqual(page.problems, []);
});

test('a login whose key may only look is offered none of it', async () => {
  await context.clearCookies();
  await page.goto(reader);
  await page.waitForSelector(`[data-name="${held}"]`);
  for (const button of ['#stream-add', '#camera-add']) assert.equal(await page.isVisible(button), false);
  await page.click(`[data-name="${held}"]`);
  await becomes('Kept for', '1 day');
  assert.equal(await page.isVisible('#settings'), false);
});
