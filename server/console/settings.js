// SPDX-License-Identifier: Apache-2.0
// What of a stream can be changed after it was made, and its end: of video beside the picture, of data
// below the shards. What the login may not do is not offered.

import {Form} from './form.js';
import {bytes, count, hours, moment} from './format.js';
import {keepOfRecords, keepOfVideo} from './keep.js';
import {Tags} from './tags.js';

const GB = 1e9, HOUR_MS = 3600e3;

// Fields that show what holds until somebody changes one. Below it: write(info) into the fields, changes()
// as [operation, members] in their order, tells() what comes of them ({says, loss: something goes for good}),
// goes() what goes with its end, end(consumersToo).
class Settings {
  // ask(path), call(operation, members), arn(info); remove: a Delete; onGone()
  constructor(panel, {ask, call, path, arn, remove, onGone, name, service, places}) {
    Object.assign(this, {panel, ask, call, path, arn, name});
    const at = selector => panel.querySelector(selector);
    this.fields = at('.settings-form');
    this.note = at('.note');
    this.actions = at('.actions');
    this.save = at('.actions button:not([type])');
    this.drop = at('.delete');
    this.tags = new Tags(at('.tags'), {call, name, service});
    this.form = new Form(this.fields, {error: at('.form-error'), places, submit: () => this.submit()});
    for (const event of ['input', 'change']) this.fields.addEventListener(event, () => this.edited());
    at('.undo').onclick = () => { this.form.clear(); this.put(); };
    this.drop.onclick = () => remove.open({name, what: this.goes(), remove: too => this.end(too), onGone});
  }

  may(operation) { return this.info.may.includes(operation); }

  // As the server says it now. While something is being changed, the change is one of what was seen then.
  show(info) {
    if (this.changed || this.form.busy) return;
    this.info = info;
    this.put();
    this.tags.show(info.may);
  }

  put() {
    this.rights();
    this.write(this.info);
    this.edited();
  }

  edited() {
    this.changed = this.fields.checkValidity() ? this.changes().length > 0 : true;
    const {says, loss} = this.changed ? this.tells() : {says: []};
    this.actions.hidden = !this.changed;
    this.note.textContent = says.join(' ');
    this.note.hidden = !says.length;
    this.note.classList.toggle('loss', Boolean(loss));
    this.save.className = loss ? 'danger' : 'primary';
    this.save.textContent = loss ? 'Save, and remove it' : 'Save';
  }

  // Where one is refused, those before it are done, and those behind it wait for the next try.
  async submit() {
    try {
      for (const [operation, members] of this.changes()) await this.call(operation, members);
      this.changed = false;
    } finally {
      this.info = await this.ask(this.path).catch(() => this.info);
      if (this.changed) this.edited();
      else this.put();
    }
  }
}

export class VideoSettings extends Settings {
  constructor(panel, options) {
    super(panel, {...options, service: 'video', places: {}});
    this.keep = keepOfVideo(panel.querySelector('.keep'), {label: 'Keep recordings for'});
    this.limit = this.fields.elements.limit;
  }

  rights() {
    const keep = this.may('kinesisvideo:UpdateDataRetention'), limit = this.may('kinema:UpdateRetentionLimit');
    const gone = this.info.status !== 'ACTIVE';
    this.keep.disabled = !keep;
    this.limit.disabled = !limit;
    this.fields.hidden = !keep && !limit;
    this.drop.hidden = !this.may('kinesisvideo:DeleteStream');
    this.panel.hidden = gone || (this.fields.hidden && this.drop.hidden && !this.may('kinesisvideo:ListTagsForStream'));
  }

  write({retentionHours, retentionBytes}) {
    this.keep.hours = retentionHours;
    this.limit.value = retentionBytes ? retentionBytes / GB : '';
  }

  limitBytes() { return Math.round(this.limit.value * GB); }

  changes() {
    const by = this.keep.hours - this.info.retentionHours, max = this.limitBytes();
    return [
      ...(max !== this.info.retentionBytes ? [['kinema:UpdateRetentionLimit', {StreamName: this.name, MaxBytes: max}]] : []),
      ...(by ? [['kinesisvideo:UpdateDataRetention', {
        StreamName: this.name, CurrentVersion: this.info.version, DataRetentionChangeInHours: Math.abs(by),
        Operation: by > 0 ? 'INCREASE_DATA_RETENTION' : 'DECREASE_DATA_RETENTION',
      }]] : []),
    ];
  }

  tells() {
    const {info, keep} = this, max = this.limitBytes();
    const none = keep.hours === 0 && info.retentionHours > 0, stored = info.bytes > 0;
    const all = none && stored;
    const older = !none && stored && keep.hours < info.retentionHours && info.nowMs - info.oldestMs > keep.hours * HOUR_MS;
    const above = !none && max > 0 && max < info.bytes;
    const loss = all || older || above;
    return {loss, says: [
      ...(all ? ['All that is recorded is removed for good.'] : []),
      ...(none ? ['Of what comes, only the last minutes can be seen.'] : []),
      ...(older ? [`What is older than ${hours(keep.hours)} is removed for good.`] : []),
      ...(above ? [`The oldest ${bytes(info.bytes - max)} are removed for good.`] : []),
      ...(loss ? ['Legal holds keep what they cover.'] : []),
    ]};
  }

  goes() {
    const {info} = this;
    return [
      info.bytes ? `All that is recorded goes with it, for good: ${bytes(info.bytes)} since ${moment(info.oldestMs)}.` : 'Nothing is recorded in it.',
      ...(info.camera ? ['Its camera is not connected to any more.'] : []),
      ...(info.live && !info.camera ? ['Its upload ends. A producer that makes its stream by itself makes it anew, empty.'] : []),
    ];
  }

  // By the creation time in the ARN it is this stream, and none that was made under its name since.
  end() { return this.call('kinesisvideo:DeleteStream', {StreamARN: this.arn(this.info)}); }
}

export class DataSettings extends Settings {
  constructor(panel, options) {
    super(panel, {...options, service: 'data', places: {
      faults: {LimitExceededException: 'shards', ValidationException: 'shards'}, members: {targetShardCount: 'shards'},
    }});
    this.keep = keepOfRecords(panel.querySelector('.keep'));
    Object.assign(this, {mode: this.fields.elements.mode, count: this.fields.elements.shards});
    this.range = panel.querySelector('.range');
  }

  rights() {
    const keep = this.may('kinesis:IncreaseStreamRetentionPeriod') && this.may('kinesis:DecreaseStreamRetentionPeriod');
    const mode = this.may('kinesis:UpdateStreamMode'), shards = this.may('kinesis:UpdateShardCount');
    const gone = this.info.status !== 'ACTIVE';
    this.keep.disabled = !keep;
    this.mode.disabled = !mode;
    this.mayScale = shards;
    this.fields.hidden = !keep && !mode && !shards;
    this.drop.hidden = !this.may('kinesis:DeleteStream');
    this.panel.hidden = gone || (this.fields.hidden && this.drop.hidden && !this.may('kinesis:ListTagsForStream'));
  }

  write({mode, openShards, retentionHours}) {
    this.mode.value = mode;
    this.count.value = openShards;
    this.count.min = Math.ceil(openShards / 2);
    this.count.max = openShards * 2;
    this.range.textContent = `${count(+this.count.min)} to ${count(+this.count.max)} in one step`;
    this.keep.hours = retentionHours;
  }

  edited() {
    const provisioned = this.mode.value === 'PROVISIONED';
    this.count.disabled = !provisioned || !this.mayScale;
    this.count.closest('label').hidden = !provisioned;
    super.edited();
  }

  changes() {
    const {info, name, mode, keep} = this, shards = +this.count.value, RetentionPeriodHours = keep.hours;
    return [
      ...(mode.value !== info.mode ? [['kinesis:UpdateStreamMode', {StreamARN: this.arn(info), StreamModeDetails: {StreamMode: mode.value}}]] : []),
      ...(!this.count.disabled && shards !== info.openShards
        ? [['kinesis:UpdateShardCount', {StreamName: name, TargetShardCount: shards, ScalingType: 'UNIFORM_SCALING'}]] : []),
      ...(keep.hours !== info.retentionHours
        ? [[`kinesis:${keep.hours > info.retentionHours ? 'Increase' : 'Decrease'}StreamRetentionPeriod`, {StreamName: name, RetentionPeriodHours}]] : []),
    ];
  }

  tells() {
    const {info, keep, mode} = this, shards = +this.count.value;
    const scales = !this.count.disabled && shards && shards !== info.openShards;
    const loss = keep.hours < info.retentionHours && info.records > 0;
    return {loss, says: [
      ...(mode.value !== info.mode ? [mode.value === 'ON_DEMAND' ? 'The server adds shards as more comes in.' : 'The shards stay as they are now.'] : []),
      ...(scales ? ['Shards are closed and new ones opened; records stay, and readers go on from the old ones to the new.'] : []),
      ...(loss ? [`Records older than ${hours(keep.hours)} are removed for good.`] : []),
    ]};
  }

  goes() {
    const {info} = this;
    return [
      info.records ? `Its records go with it, for good: ${count(info.records)}, ${bytes(info.bytes)}.` : 'There are no records in it.',
      'Who writes or reads here gets an error. Fragment events of video streams that come here wait for a stream of this name.',
    ];
  }

  end(consumersToo) {
    return this.call('kinesis:DeleteStream', {StreamName: this.name, ...(consumersToo ? {EnforceConsumerDeletion: true} : {})});
  }
}
