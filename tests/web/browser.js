// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium, driven by playwright-core (pinned; nothing is downloaded). A fresh profile each.

import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';

import {chromium} from 'playwright-core';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required', '--mute-audio',
];

export async function open(options = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.KINEMA_CHROMIUM || '/usr/bin/chromium', args: FLAGS,
  });
  const context = await browser.newContext({viewport: {width: 1440, height: 900}, ...options});
  context.setDefaultTimeout(90000);
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', error => page.problems.push(`uncaught: ${error.message}`));
  page.on('console', message => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      page.problems.push(message.text());
  });
  return {browser, context, page};
}

// In a page: how many colours a video shows.
function colours(video) {
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 36;
  const g = canvas.getContext('2d');
  g.drawImage(video, 0, 0, 64, 36);
  const found = new Set(), pixels = g.getImageData(0, 0, 64, 36).data;
  for (let i = 0; i < pixels.length; i += 4)
    found.add((pixels[i] >> 5) << 6 | (pixels[i + 1] >> 5) << 3 | pixels[i + 2] >> 5);
  return found.size;
}

// A site with a page that has a player's script, <video id=v> and colours(video).
export async function playerSite(script) {
  const code = await readFile(new URL(`./node_modules/${script}`, import.meta.url));
  const html = '<!doctype html><meta charset=utf-8><title>player</title>' +
    '<body style="margin:0;background:#000"><video id=v muted playsinline width=1280 height=720></video>' +
    `<script>${colours}</script><script src="/player.js"></script>`;
  const site = createServer((request, answer) => {
    if (request.url === '/player.js') answer.setHeader('content-type', 'text/javascript').end(code);
    else answer.setHeader('content-type', 'text/html').end(html);
  });
  await new Promise(done => site.listen(0, '127.0.0.1', done));
  return {url: `http://127.0.0.1:${site.address().port}/`, close: () => site.close()};
}
