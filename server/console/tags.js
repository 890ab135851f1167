// SPDX-License-Identifier: Apache-2.0
// The tags of a stream, of video or of data: listed, set, removed.

import {Form, words} from './form.js';
import {make} from './format.js';

const OWN = /^kinema:/; // set by other means, and shown with those

// How each of the two services calls it. read: its answer as [key, value], …
const SERVICES = {
  video: {
    list: 'kinesisvideo:ListTagsForStream', put: 'kinesisvideo:TagStream', remove: 'kinesisvideo:UntagStream', keys: 'TagKeyList',
    read: ({Tags}) => Object.entries(Tags),
  },
  data: {
    list: 'kinesis:ListTagsForStream', put: 'kinesis:AddTagsToStream', remove: 'kinesis:RemoveTagsFromStream', keys: 'TagKeys',
    read: ({Tags}) => Tags.map(({Key, Value}) => [Key, Value]),
  },
};

export class Tags {
  // call(operation, members)
  constructor(panel, {call, name, service}) {
    Object.assign(this, {panel, call, name, service: SERVICES[service]});
    panel.append(document.querySelector('#view-tags').content.cloneNode(true));
    const at = selector => panel.querySelector(selector);
    this.list = at('.tag-list');
    this.error = at('.form-error');
    this.form = at('form');
    this.sheet = new Form(this.form, {error: this.error, submit: async () => {
      const {key, value} = this.form.elements;
      await this.call(this.service.put, {StreamName: name, Tags: {[key.value.trim()]: value.value.trim()}});
      this.form.reset();
      await this.refresh();
      key.focus();
    }});
  }

  // may: the operations that the login may call on this stream; once
  async show(may) {
    if (this.may) return;
    this.may = may;
    this.panel.hidden = !may.includes(this.service.list);
    this.form.hidden = !may.includes(this.service.put);
    if (!this.panel.hidden) await this.refresh().catch(() => { this.panel.hidden = true; });
  }

  async refresh() {
    const tags = this.service.read(await this.call(this.service.list, {StreamName: this.name}));
    const shown = tags.filter(([key]) => !OWN.test(key)).sort(([a], [b]) => a < b ? -1 : 1);
    this.list.replaceChildren(...shown.map(([key, value]) => make('li', {}, make('b', {}, key), make('span', {}, value),
      ...(this.may.includes(this.service.remove) ? [this.removeButton(key)] : []))));
    this.list.hidden = !shown.length;
  }

  removeButton(key) {
    return make('button', {type: 'button', class: 'quiet', 'aria-label': `Remove the tag ${key}`, title: 'Remove', onclick: async () => {
      this.error.textContent = '';
      try {
        await this.call(this.service.remove, {StreamName: this.name, [this.service.keys]: [key]});
        await this.refresh();
        this.form.elements.key.focus();
      } catch (error) {
        this.error.textContent = words(error);
      }
    }}, '✕');
  }
}
