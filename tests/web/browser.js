// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium, driven by playwright-core (pinned; nothing is downloaded). A fresh profile each.

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
