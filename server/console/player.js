// SPDX-License-Identifier: Apache-2.0
// A <video> fed by Kinema's HLS sessions through hls.js (or by the browser itself on iOS), or by its DASH
// sessions through dash.js, which is fetched when it is wanted. It asks for a session, plays, and asks
// again when a session ends or fails, with growing pauses. Where DASH does not get going, or fails twice
// in short time, HLS takes its place.

const Hls = window.Hls;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const DASH_AGAIN_MS = 30000;

// What the browser can decode decides whether a stream is worth starting at all.
export function undecodable(now) {
  const video = (now?.tracks || []).find(t => t.type === 'video');
  if (video?.codec !== 'V_MPEGH/ISO/HEVC') return '';
  const probe = document.createElement('video');
  const types = ['video/mp4; codecs="hvc1.1.6.L93.B0"', 'video/mp4; codecs="hev1.1.6.L93.B0"'];
  const source = window.ManagedMediaSource || window.MediaSource;
  const can = types.some(type => source ? source.isTypeSupported(type) : probe.canPlayType(type));
  return can ? '' : 'This camera sends H.265, which this browser cannot decode here. Recording goes ' +
    'on, and nothing is lost. Safari plays it, Chrome and Edge do with a GPU that decodes it.';
}

export const canDash = () => Boolean(Hls?.isSupported()); // both want Media Source Extensions

let loading;
function loadDash() {
  loading ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = '/dash.js';
    script.onload = () => done(window.dashjs);
    script.onerror = () => { loading = undefined; failed(dashError('dash.js cannot be loaded')); };
    document.head.append(script);
  });
  return loading;
}

const dashError = text => Object.assign(new Error(text), {dash: true});

// What the players' errors say in words for a person: their own hold addresses with the session's token.
const answered = status => status ? ` (HTTP ${status})` : '';

function dashWords(codes, error) {
  const because = answered(error?.data?.response?.status);
  switch (error?.code) {
  case codes.DOWNLOAD_ERROR_ID_MANIFEST_CODE: return `its manifest cannot be fetched${because}`;
  case codes.DOWNLOAD_ERROR_ID_INITIALIZATION_CODE:
  case codes.DOWNLOAD_ERROR_ID_CONTENT_CODE: return `a segment cannot be fetched${because}`;
  case codes.MANIFEST_LOADER_PARSING_FAILURE_ERROR_CODE:
  case codes.MANIFEST_ERROR_ID_PARSE_CODE: return 'its manifest cannot be read';
  case codes.MANIFEST_ERROR_ID_NOSTREAMS_CODE: return 'its manifest has nothing that this browser can play';
  default: return 'this browser cannot play what comes';
  }
}

function hlsWords({type, details, response}) {
  if (/Parsing/.test(details)) return details.startsWith('frag') ? 'a segment cannot be read' : 'the playlist cannot be read';
  if (type !== Hls.ErrorTypes.NETWORK_ERROR) return 'this browser cannot play what comes';
  return `${details.startsWith('frag') ? 'a segment' : 'the playlist'} cannot be fetched${answered(response?.code)}`;
}

export class Player {
  // openSession(mode, from, to, protocol) → {url}; options: {small: true} for a tile
  constructor(video, openSession, options = {}) {
    this.video = video;
    this.openSession = openSession;
    this.options = options;
    this.onState = options.onState || (() => {});
    this.onFallback = options.onFallback || (() => {}); // HLS plays in place of DASH; why
    this.mode = 'LIVE';
    this.protocol = 'HLS';
    this.fails = 0;
    this.generation = 0;
    video.muted = true;
  }

  live() { return this.start('LIVE', 0); }

  // From a moment on; goes on into the present when it gets there.
  replay(from) { return this.start('LIVE_REPLAY', Math.floor(from)); }

  // The first picture of what is recorded from there, standing.
  still(from) {
    this.standing = true;
    return this.start('LIVE_REPLAY', Math.floor(from));
  }

  async start(mode, from) {
    this.stop();
    const generation = ++this.generation;
    this.mode = mode;
    this.from = from;
    this.stopped = this.played = false;
    this.onState('loading');
    let session, dashjs;
    try {
      if (this.protocol === 'DASH') dashjs = await loadDash();
      session = await this.openSession(mode, from, 0, this.protocol);
    } catch (error) {
      error.final = error.word === 'cannot_play';
      error.dash ||= error.final && this.protocol === 'DASH'; // what DASH cannot carry HLS may
      if (generation === this.generation) this.fail(error);
      return;
    }
    if (generation !== this.generation) return;
    if (dashjs) this.attachDash(dashjs, session.url, generation);
    else if (Hls?.isSupported()) this.attach(session.url, generation);
    else this.attachNative(session.url, generation);
  }

  attach(url, generation) {
    const small = this.options.small;
    const live = this.mode === 'LIVE';
    const hls = this.hls = new Hls({
      startPosition: live ? -1 : 0,
      liveSyncDurationCount: 2,
      liveMaxLatencyDurationCount: live ? 8 : Infinity,
      maxLiveSyncPlaybackRate: live ? 1.25 : 1,
      backBufferLength: small ? 4 : 60,
      maxBufferLength: small ? 6 : 30,
      maxMaxBufferLength: small ? 10 : 60,
      enableWorker: true,
      lowLatencyMode: false,
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => { if (!this.standing) this.play(); });
    hls.on(Hls.Events.FRAG_BUFFERED, () => {
      this.fails = 0;
      if (this.standing) hls.stopLoad();
    });
    hls.on(Hls.Events.ERROR, (event, data) => {
      if (generation !== this.generation || !data.fatal) return;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.recovered) {
        this.recovered = true;
        const played = !this.video.paused;
        hls.recoverMediaError(); // attaches anew, which pauses
        if (played) this.play();
        return;
      }
      this.fail(new Error(hlsWords(data)));
    });
    this.tell();
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  attachDash(dashjs, url, generation) {
    const live = this.mode === 'LIVE';
    const dash = this.dash = dashjs.MediaPlayer().create();
    const {events} = dashjs.MediaPlayer;
    dash.updateSettings({
      debug: {logLevel: dashjs.Debug.LOG_LEVEL_NONE},
      streaming: {buffer: {bufferToKeep: 60, bufferTimeDefault: 30}, liveCatchup: {enabled: live}},
    });
    let failed = false;
    const fail = text => { // once, and not while dash.js is in the middle of telling
      if (!failed) setTimeout(() => { if (generation === this.generation) this.fail(dashError(text)); });
      failed = true;
    };
    let undecoded = false; // dash.js leaves such a track out, and would play the sound alone
    dash.on(events.MANIFEST_LOADED, ({data}) => { this.base = new Date(data?.availabilityStartTime).getTime(); });
    dash.on(events.FRAGMENT_LOADING_COMPLETED, () => { this.fails = 0; });
    dash.on(events.ADAPTATION_SET_REMOVED_NO_CAPABILITIES, () => { undecoded = true; });
    dash.on(events.STREAM_INITIALIZED, () => {
      if (undecoded && !dash.getTracksFor('video').length) fail('this browser cannot decode its picture');
    });
    dash.on(events.ERROR, ({error}) => fail(dashWords(dashjs.MediaPlayer.errors, error)));
    dash.on(events.PLAYBACK_NOT_ALLOWED, () => this.play());
    this.tell();
    // It begins to play by itself: of a play() before it listens it would not know, and fetch one manifest only.
    dash.initialize(this.video, url, true);
  }

  tell() {
    this.video.onplaying = () => { this.recovered = false; this.played = true; this.onState('playing'); };
    this.video.onwaiting = () => this.onState('waiting');
    this.video.onended = () => this.onState('ended');
  }

  attachNative(url, generation) {
    this.video.onplaying = () => { this.fails = 0; this.onState('playing'); };
    this.video.onerror = () => { if (generation === this.generation) this.fail(new Error('this browser cannot play what comes')); };
    this.video.src = url;
    this.play();
  }

  play() {
    this.video.play().catch(() => {
      if (!this.video.muted) { this.video.muted = true; this.video.play().catch(() => {}); }
    });
  }

  // Waits longer after each failure; a stream that has nothing yet is asked for again quietly.
  fail(error) {
    const generation = this.generation;
    if (error.dash && this.giveUpDash(error)) return;
    this.onState('failed', error);
    if (error.final) return;
    const pause = RETRY_MS[Math.min(this.fails++, RETRY_MS.length - 1)];
    this.timer = setTimeout(() => {
      if (generation === this.generation && !this.stopped) this.start(this.mode, this.resumeFrom());
    }, pause);
  }

  // A session of DASH that has played may have ended, or the server may have begun anew: one more is
  // asked for. Otherwise HLS goes on from there.
  giveUpDash(error) {
    const now = performance.now();
    const again = this.played && !(now - this.dashFailed < DASH_AGAIN_MS);
    this.dashFailed = now;
    if (again) return false;
    this.protocol = 'HLS';
    this.onFallback(error.message);
    this.start(this.mode, this.resumeFrom());
    return true;
  }

  resumeFrom() {
    return this.mode === 'LIVE' ? 0 : this.wallClock() || this.from;
  }

  stop() {
    this.stopped = true;
    this.generation++;
    clearTimeout(this.timer);
    this.video.onplaying = this.video.onwaiting = this.video.onended = this.video.onerror = null;
    if (this.hls) {
      this.hls.destroy();
      this.hls = null;
    } else if (this.dash) {
      this.dash.destroy();
      this.dash = null;
      this.base = NaN;
    } else if (this.video.src) {
      this.video.removeAttribute('src');
      this.video.load();
    }
  }

  // The time of day of the picture on screen, from EXT-X-PROGRAM-DATE-TIME, or availabilityStartTime.
  wallClock() {
    if (this.dash) return this.base > 0 && this.video.readyState > 0 ? this.base + this.video.currentTime * 1000 : 0;
    const date = this.hls ? this.hls.playingDate : this.video.getStartDate?.();
    if (!date || isNaN(date)) return 0;
    return this.hls ? date.getTime() : date.getTime() + this.video.currentTime * 1000;
  }

  // Goes there inside what this session already lists; false: a new session is needed.
  seekWithin(ms) {
    if (this.dash) return this.seekDash((ms - this.base) / 1000);
    const details = this.hls?.levels?.[this.hls.currentLevel]?.details || this.hls?.latestLevelDetails;
    for (const fragment of details?.fragments || []) {
      const start = fragment.programDateTime;
      if (!start || ms < start || ms >= start + fragment.duration * 1000) continue;
      this.video.currentTime = fragment.start + (ms - start) / 1000;
      return true;
    }
    return false;
  }

  seekDash(seconds) {
    const {start, end} = this.dash.getDvrWindow() || {};
    if (!(seconds >= start && seconds < end)) return false;
    this.video.currentTime = seconds;
    return true;
  }

  // Seconds between the newest picture the server has told us of and the one on screen.
  behind() {
    const latency = this.dash ? this.dash.getCurrentLiveLatency() : this.hls?.latency;
    return this.mode === 'LIVE' && latency > 0 ? latency : NaN;
  }
}
