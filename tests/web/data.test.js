// SPDX-License-Identifier: Apache-2.0
// Data streams in the console, while records come in: the list, one stream with its shards, the tail.

import assert from 'node:assert/strict';
import path from 'node:path';
import {after, before, test} from 'node:test';

import {open} from './browser.js';

const {console: base, link, stream, empty, shots} = JSON.parse(process.env.KINEMA_WEB);
let browser, page;

before(async () => { ({browser, page} = await open()); });
after(async () => { await browser?.close(); });

const shot = (name, of = page) => of.screenshot({path: path.join(shots, `${name}.png`)});
const says = (selector, pattern, of = page) => of.waitForFunction(
  ([s, p]) => new RegExp(p).test(document.querySelector(s)?.textContent), [selector, pattern]);

test('the area of data streams is one click away, and lists them with what comes in', async () => {
  await page.goto(link);
  await page.click('#areas a[data-area=data]');
  await says(`tr[data-name="${stream}"]`, '[1-9][0-9.]*/s');
  await says(`tr[data-name="${empty}"]`, 'never');
  await shot('data-list');
});

test('one stream shows who owns the keys, lineage, and the age of its readers', async () => {
  await page.click(`tr[data-name="${stream}"] a`);
  await says('#data-facts', 'Records in[1-9]');
  assert.equal(await page.$$eval('#data-keys button', all => all.length), 3);
  assert.equal(await page.$$eval('#data-shards tr', all => all.length), 3);
  await page.check('#data-closed');
  assert.equal(await page.$$eval('#data-shards tr', all => all.length), 4);
  assert.match(await page.textContent('#data-shards'), /closed/);
  await says('#data-facts', 'Iterator age[0-9.]+ s');
});

test('the last hour is drawn minute by minute, and a bar tells its figure', async () => {
  for (const id of ['bytes-in', 'records-in', 'age', 'bytes-read', 'throttled'])
    await page.waitForFunction(s => document.querySelectorAll(s).length === 60, `#chart-${id} rect`);
  const tall = s => [...document.querySelectorAll(s)].filter(bar => Number(bar.getAttribute('height')) > 1).length;
  await page.waitForFunction(tall, '#chart-records-in rect');
  assert.match(await page.getAttribute('#chart-records-in svg', 'aria-label'), /the most in one: [1-9]/);
  assert.equal(await page.evaluate(tall, '#chart-throttled rect'), 0);
  await says('#chart-throttled', 'Throttled0$');
  await page.locator('#chart-bytes-in').scrollIntoViewIfNeeded();
  const box = await page.locator('#chart-bytes-in svg').boundingBox();
  await page.mouse.move(box.x + box.width - 2, box.y + box.height / 2);
  await says('#chart-bytes-in', '[0-9]{2}:[0-9]{2} · ');
  await shot('data-charts');
  await page.mouse.move(0, 0);
  await says('#chart-bytes-in', '/min');
});

test('the tail follows all open shards unasked, also those that the stream gets later', async () => {
  assert.equal(await page.$eval('#tail-shard', select => select.value), 'all');
  await says('#tail-records', 'door'); // not of the first of them
  await page.fill('#data-settings-form input[name=shards]', '6');
  await page.click('#data-settings-form .actions .primary');
  await page.waitForFunction(() => document.querySelectorAll('#data-keys button').length === 6);
  await page.waitForFunction(() => [...document.querySelectorAll('#tail-records details')].some(row => row.dataset.shard > 3));
  assert.equal(await page.$eval('#tail-shard', select => select.value), 'all');
  await shot('data-tail-all');
});

test('the tail follows the shard that was clicked, and a record opens as indented JSON', async () => {
  const [button] = await page.$$('#data-keys button');
  await button.click(); // the first of the keys: where the producer of this test puts
  await says('#tail-state', 'Live');
  await says('#tail-records', 'door');
  const was = await page.$$eval('#tail-records details', all => all.length);
  await page.waitForFunction(n => document.querySelectorAll('#tail-records details').length > n, was);
  await page.click('#tail-records details:has-text("door") summary');
  await says('#tail-state', 'Paused');
  await says('#tail-records details[open] pre', '\\{\\n {2}"door": "north",\\n {2}"open": (true|false)');
  await shot('data-tail');
});

test('what is not text is shown as bytes, what a KPL producer made as what it is', async () => {
  await page.fill('#tail-filter', 'raw');
  assert.ok(await page.$$eval('#tail-records details:not([hidden])', all => all.length) > 0);
  await page.click('#tail-records details:not([hidden]) summary');
  assert.match(await page.textContent('#tail-records details:not([hidden]) pre'), /000000 {2}00 01 02 ff/);
  await page.fill('#tail-filter', 'kpl');
  assert.match(await page.textContent('#tail-records details:not([hidden]) summary'), /many records/);
  await page.fill('#tail-filter', '');
  await page.click('#tail-pause');
  await says('#tail-state', 'Live');
});

test('a stream that nothing was put to says so, and a name that is none shows the way back', async () => {
  await page.goto(`${base}/#/data/${empty}`);
  await says('#tail-state', 'nothing has come yet');
  await page.goto(`${base}/#/data/no-such-stream`);
  await says('main', 'There is no such stream');
  await page.click('main a.button');
  await page.waitForSelector('#data-table:not([hidden])');
});

test('on a phone nothing is wider than the screen', async () => {
  await page.setViewportSize({width: 390, height: 844});
  for (const address of ['#/data', `#/data/${stream}`]) {
    await page.goto(`${base}/${address}`);
    await says('main', address === '#/data' ? '[1-9][0-9.]*/s' : 'shardId');
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 390, `${address} is ${width} wide`);
  }
  await page.click('#data-keys button');
  await says('#tail-records', 'door');
  await shot('data-phone');
});

test('the page had no errors', () => { assert.deepEqual(page.problems, []); });
