// Sending a zip in parts, several at a time, through lost connections. S3 keeps the parts that arrived: after a
// pause, a lost connection or a reload of the page they are listed, and only the others are sent.

import { parsed } from './json.js';
import { Problem, asProblem, unreachable } from './problem.js';

const AT_ONCE = 5;
const ADDRESSES_AT_ONCE = 20; // parts whose addresses are asked for together; each is good for an hour
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
const STALLED_MS = 30_000; // without a byte moving a part is given up, and sent again
const KEPT = 'spaceport.upload.'; // + the zip's mark: what a page that was closed had begun

// One zip on its way. `onChange` is called whenever `state`, `sent` or `problem` change.
// States: sending, paused, waiting (for the connection), done, failed.
export class Upload {
  state = 'sending';
  sent = 0;
  problem = null;
  #api;
  #zip;
  #plan;
  #mark;
  #under = new Map(); // parts on their way: number -> {request, bytes}
  #arrived = new Map(); // number -> etag
  #wake = () => {};

  constructor(api, zip, { fileName, request, mark, onChange }) {
    this.#api = api;
    this.#zip = zip;
    this.fileName = fileName;
    this.request = request;
    this.total = zip.size;
    this.#mark = KEPT + mark;
    this.onChange = onChange;
  }

  // Sends it all; the job's id.
  async run() {
    addEventListener('online', this.#hurry);
    let pause = FIRST_RETRY_MS;
    try {
      for (;;) {
        try {
          await this.#whileUnpaused();
          this.#turn('sending');
          this.#plan ??= await this.#begin();
          await this.#sendMissing();
          const done = await this.#api.post(this.#path('/complete'), { key: this.#plan.key, parts: this.#etags() });
          localStorage.removeItem(this.#mark);
          this.#turn('done');
          return done.jobId;
        } catch (error) {
          if (this.state === 'paused') continue;
          const problem = asProblem(error);
          if (problem.code === 'no_such_upload' && this.#plan?.isResumed) {
            this.#forget(); // begun more than a day ago
            continue;
          }
          if (problem.code === 'wrong_parts' && this.#arrived.size) {
            this.#arrived.clear(); // S3 tells which ones it has
            continue;
          }
          if (!problem.mayPass) throw problem;
          this.#turn('waiting');
          await this.#pause(pause);
          pause = Math.min(pause * 2, LONGEST_RETRY_MS);
        }
      }
    } catch (error) {
      this.problem = asProblem(error);
      this.#turn('failed');
      throw this.problem;
    } finally {
      removeEventListener('online', this.#hurry);
    }
  }

  pause() {
    if (this.state === 'done' || this.state === 'failed') return;
    this.#turn('paused');
    this.#abort();
  }

  resume() {
    if (this.state !== 'paused') return;
    this.#turn('sending');
    this.#wake();
  }

  // Gives it up: what arrived is deleted.
  async cancel() {
    this.problem = new Problem('cancelled', 'The upload was given up.');
    this.#turn('failed');
    this.#abort();
    this.#wake();
    if (!this.#plan) return;
    const path = this.#path(`?key=${encodeURIComponent(this.#plan.key)}`);
    this.#forget();
    await this.#api.delete(path).catch(() => {}); // S3 forgets it after a day by itself
  }

  async #begin() {
    const kept = parsed(localStorage.getItem(this.#mark));
    if (kept) return { ...kept, isResumed: true };
    const plan = await this.#api.post('/uploads', {
      fileName: this.fileName,
      bytes: this.total,
      request: this.request,
    });
    localStorage.setItem(this.#mark, JSON.stringify(plan));
    return plan;
  }

  async #sendMissing() {
    await this.#listArrived();
    const missing = [];
    for (let number = 1; number <= this.#plan.parts; number += 1) {
      if (!this.#arrived.has(number)) missing.push(number);
    }
    const addresses = new Map(); // number -> promise of its address
    const addressOf = (number) => {
      if (!addresses.has(number)) {
        const numbers = [number, ...missing.slice(0, ADDRESSES_AT_ONCE - 1)].filter((one) => !addresses.has(one));
        const told = this.#addresses(numbers);
        for (const one of numbers) {
          addresses.set(one, told.then((found) => found.get(one)));
          addresses.get(one).catch(() => {}); // told by whoever waits for it
        }
      }
      return addresses.get(number);
    };
    let failed = null;
    const worker = async () => {
      while (missing.length && !failed) {
        if (this.state !== 'sending') throw unreachable();
        const number = missing.shift();
        this.#arrived.set(number, await this.#put(number, await addressOf(number)));
        this.#count();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, () => worker().catch((error) => (failed ??= error))));
    if (failed) throw failed;
  }

  async #addresses(numbers) {
    const told = await this.#api.post(this.#path('/parts'), { key: this.#plan.key, numbers });
    return new Map(told.parts.map(({ number, url }) => [number, url]));
  }

  async #listArrived() {
    // Where all are there, only the end is missing: it may have come about, and its answer been lost.
    if (!this.#plan.isResumed || this.#arrived.size === this.#plan.parts) return;
    const told = await this.#api.get(this.#path(`?key=${encodeURIComponent(this.#plan.key)}`));
    this.#arrived.clear();
    for (const { number, etag } of told.parts) this.#arrived.set(number, etag);
    this.#count();
  }

  // XMLHttpRequest, because fetch doesn't tell how much was sent.
  #put(number, address) {
    const { partBytes } = this.#plan;
    const body = this.#zip.slice((number - 1) * partBytes, number * partBytes);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const part = { request, bytes: 0 };
      this.#under.set(number, part);
      let stalled = setTimeout(() => request.abort(), STALLED_MS);
      const end = (settle, value) => {
        clearTimeout(stalled);
        this.#under.delete(number);
        this.#count();
        settle(value);
      };
      request.open('PUT', address);
      request.upload.onprogress = ({ loaded }) => {
        clearTimeout(stalled);
        stalled = setTimeout(() => request.abort(), STALLED_MS);
        part.bytes = loaded;
        this.#count();
      };
      request.onload = () => {
        const etag = request.getResponseHeader('ETag');
        if (request.status === 200 && etag) return end(resolve, etag);
        const code = /<Code>(\w+)<\/Code>/.exec(request.responseText)?.[1];
        if (code === 'NoSuchUpload') {
          return end(reject, new Problem('no_such_upload', 'The cloud has given up this upload.', 'Send it again.'));
        }
        // An address grows old in an hour; the next try asks for a new one.
        return end(reject, new Problem('part_refused', 'A part was refused.', 'It is sent again.', 503));
      };
      request.onerror = request.onabort = () => end(reject, unreachable());
      request.send(body);
    });
  }

  #path(rest) {
    return `/uploads/${encodeURIComponent(this.#plan.uploadId)}${rest}`;
  }

  #etags() {
    return [...this.#arrived].sort(([a], [b]) => a - b).map(([number, etag]) => ({ number, etag }));
  }

  #count() {
    const { partBytes } = this.#plan;
    let sent = 0;
    for (const number of this.#arrived.keys()) sent += Math.min(partBytes, this.total - (number - 1) * partBytes);
    for (const { bytes } of this.#under.values()) sent += bytes;
    this.sent = Math.min(sent, this.total);
    this.onChange(this);
  }

  #abort() {
    for (const { request } of this.#under.values()) request.abort();
  }

  #forget() {
    localStorage.removeItem(this.#mark);
    this.#plan = undefined;
    this.#arrived.clear();
  }

  #turn(state) {
    if (this.state === 'failed') throw this.problem;
    this.state = state;
    this.onChange(this);
  }

  async #whileUnpaused() {
    while (this.state === 'paused') await new Promise((resolve) => (this.#wake = resolve));
    // What was sent before the connection was lost may have arrived all the same.
    if (this.#plan) this.#plan.isResumed = true;
    if (this.problem) throw this.problem;
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
  }

  #hurry = () => this.#wake();
}

// What tells a zip from another after a reload: its name, size and time, and what is asked of it.
export const markOf = async (files, request) => {
  const told = JSON.stringify([files.map(({ name, file }) => [name, file.size, file.lastModified]), request]);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(told)));
  return Array.from(digest.slice(0, 12), (byte) => byte.toString(16).padStart(2, '0')).join('');
};
