// SPDX-License-Identifier: Apache-2.0
// Fragment events of one stream: a switch, the data stream they go to, and how it goes.

import {count, duration, make} from './format.js';

const SAYS = {
  NO_DATA_STREAM: 'The data stream is gone: make it again, or choose another.',
  NOT_WRITABLE: 'The data stream cannot be written at present; events wait.',
};

export class Events {
  // ask(path, body) asks the server; poll(fn) calls again and again and returns what stops it
  constructor(panel, {ask, path, poll}) {
    Object.assign(this, {panel, ask, path, stop: () => {}});
    this.on = panel.querySelector('#events-on');
    this.select = panel.querySelector('#events-stream');
    this.state = panel.querySelector('#events-state');
    this.error = panel.querySelector('#events-error');
    this.on.onchange = () => this.set(this.on.checked ? this.select.value : '');
    this.select.onchange = () => { if (this.on.checked) this.set(this.select.value); };
    this.fill().finally(() => { if (!this.ended) this.stop = poll(() => this.refresh()); });
  }

  close() {
    this.ended = true;
    this.stop();
  }

  async fill() {
    try {
      for (let after = '', more = true; more;) {
        const page = await this.ask(`/kinema/v1/data-streams${after ? `?after=${encodeURIComponent(after)}` : ''}`);
        this.select.append(...page.streams.map(({name}) => make('option', {value: name}, name)));
        after = page.next;
        more = Boolean(after);
      }
    } catch { /* the key may see none */ }
  }

  async refresh() {
    try {
      this.show(await this.ask(this.path));
    } catch { this.panel.hidden = true; /* the key may not see it */ }
  }

  show(now) {
    const on = now.status !== 'OFF';
    this.panel.hidden = !on && (!now.canPut || !this.select.options.length);
    if (on && ![...this.select.options].some(option => option.value === now.dataStream))
      this.select.append(make('option', {value: now.dataStream}, now.dataStream));
    this.on.checked = on;
    this.on.disabled = on ? !now.canRemove : !now.canPut;
    this.select.disabled = !now.canPut;
    if (on) this.select.value = now.dataStream;
    this.state.replaceChildren(...(on ? this.says(now) : ['Off. A data stream gets a record for each fragment, for programs that look at the pictures.']));
    this.state.classList.toggle('bad', now.status in SAYS);
  }

  says(now) {
    if (SAYS[now.status]) return [SAYS[now.status]];
    const late = now.behindMs > 2000 ? `, ${duration(now.behindMs)} behind` : '';
    const lost = now.lost ? `, ${count(now.lost)} lost to retention` : '';
    return [`${count(now.sent)} sent since the start${late}${lost} · `,
      make('a', {href: `#/data/${now.dataStream}`}, 'records')];
  }

  async set(dataStream) {
    this.error.textContent = '';
    try {
      this.show(await this.ask(this.path, {dataStream}));
    } catch (error) {
      this.error.textContent = error.message;
      await this.refresh();
    }
  }
}
