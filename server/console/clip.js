// SPDX-License-Identifier: Apache-2.0
// A clip of one stream: a span is chosen, its size is told, and the browser saves it as an MP4. The
// span is what the bar shows until it is changed.

import {bytes, localInput} from './format.js';

export class Clip {
  // ask(path, body) asks the server; range() → [from, to] of the bar, in ms
  constructor(panel, {ask, path, range}) {
    this.form = panel.querySelector('#clip-form');
    this.state = panel.querySelector('#clip-state');
    this.error = panel.querySelector('#clip-error');
    this.add = panel.querySelector('#clip-add');
    this.ask = ask;
    this.path = path;
    this.range = range;
    this.add.onclick = () => this.open(this.form.hidden);
    panel.querySelector('#clip-cancel').onclick = () => this.open(false);
    this.form.onsubmit = event => { event.preventDefault(); this.save(); };
  }

  open(on) {
    this.form.hidden = !on;
    this.add.setAttribute('aria-expanded', on);
    this.error.textContent = this.state.textContent = '';
    if (!on) return;
    const [from, to] = this.range();
    this.form.from.value = localInput(from);
    this.form.to.value = localInput(to);
    this.form.from.focus();
  }

  async save() {
    const ms = value => new Date(value).getTime();
    const from = ms(this.form.from.value), to = ms(this.form.to.value);
    this.error.textContent = to > from ? from < Date.now() ? '' : 'That is not recorded yet.' : 'The end must be later than the start.';
    this.state.textContent = '';
    if (this.error.textContent) return;
    this.state.textContent = 'Looking…';
    try {
      const clip = await this.ask(this.path, {from, to});
      this.state.textContent = `${bytes(clip.bytes)} are on their way.`;
      const link = document.createElement('a'); // the answer says that it is to be saved, and as what
      link.href = clip.url;
      link.click();
    } catch (error) {
      this.state.textContent = '';
      this.error.textContent = error.message;
    }
  }
}
