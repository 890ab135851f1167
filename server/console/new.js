// SPDX-License-Identifier: Apache-2.0
// New streams: of video, and of data.

import {Sheet} from './form.js';
import {keepOfRecords, keepOfVideo} from './keep.js';

const PLACES = {
  faults: {ResourceInUseException: 'name'},
  members: {streamName: 'name', mediaType: 'mediaType', shardCount: 'shards'},
};
const VIDEO_HOURS = 168, RECORDS_HOURS = 24; // the second is what a new stream has by itself

export class NewVideo extends Sheet {
  // call(operation, members); onMade(name)
  constructor(dialog, {call, onMade}) {
    super(dialog, {places: PLACES, submit: () => this.make()});
    Object.assign(this, {call, onMade, keep: keepOfVideo(dialog.querySelector('.keep'))});
  }

  open() {
    this.form.reset();
    this.keep.hours = VIDEO_HOURS;
    super.open();
    this.form.elements.name.focus();
  }

  async make() {
    const {elements} = this.form, name = elements.name.value.trim(), mediaType = elements.mediaType.value.trim();
    await this.call('kinesisvideo:CreateStream', {
      StreamName: name, DataRetentionInHours: this.keep.hours, ...(mediaType ? {MediaType: mediaType} : {}),
    });
    this.close();
    this.onMade(name);
  }
}

export class NewData extends Sheet {
  constructor(dialog, {call, onMade}) {
    super(dialog, {places: PLACES, submit: () => this.make()});
    Object.assign(this, {call, onMade, keep: keepOfRecords(dialog.querySelector('.keep'))});
    this.form.mode.onchange = () => this.mode();
  }

  mode() {
    const {mode, shards} = this.form.elements, provisioned = mode.value === 'PROVISIONED';
    shards.disabled = !provisioned;
    shards.closest('label').hidden = !provisioned;
  }

  open() {
    this.form.reset();
    this.keep.hours = RECORDS_HOURS;
    this.made = '';
    this.mode();
    super.open();
    this.form.elements.name.focus();
  }

  // Two operations where records are kept for longer than by itself; a second try does what is left.
  async make() {
    const {elements} = this.form, name = elements.name.value.trim(), mode = elements.mode.value;
    if (this.made !== name)
      await this.call('kinesis:CreateStream', {
        StreamName: name, StreamModeDetails: {StreamMode: mode},
        ...(mode === 'PROVISIONED' ? {ShardCount: +elements.shards.value} : {}),
      });
    this.made = name;
    if (this.keep.hours > RECORDS_HOURS)
      await this.call('kinesis:IncreaseStreamRetentionPeriod', {StreamName: name, RetentionPeriodHours: this.keep.hours});
    this.close();
    this.onMade(name);
  }
}
