// Following a job: by WebSocket, through lost connections, and by asking again and again where sockets are blocked.
// A subscription is answered with the row as it is, so whatever was missed, subscribing again mends it. Versions
// only rise: what comes late or twice is dropped.

import { parsed } from './json.js';
import { asProblem } from './problem.js';

const ENDED = new Set(['COMPLETED', 'FAILED', 'STOPPED', 'REJECTED']);
const PING_MS = 25_000; // proxies drop what is idle for a minute, API Gateway for ten
const ANSWER_MS = 12_000; // to a question of ours; longer means that the connection is dead
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
const POLL_MS = 3_000;
const TRIES_BEFORE_POLLING = 2; // connections in a row that never opened

export const isEnded = (status) => ENDED.has(status.status);

// Calls `onStatus` with each newer status, `onLink` with 'live', 'polling' or 'lost'; returns what ends it.
export const follow = (api, config, jobId, { onStatus, onLink = () => {}, onProblem = () => {} }) => {
  let version = 0;
  let over = false;
  let socket = null;
  let wake = () => {};
  let until = 0; // when the next connection is tried
  let failures = 0;
  let unopened = 0;
  const timers = new Set();

  const after = (ms, work) => {
    const timer = setTimeout(() => (timers.delete(timer), work()), ms);
    timers.add(timer);
    return timer;
  };
  const cancel = (timer) => (timers.delete(timer), clearTimeout(timer));

  const end = () => {
    over = true;
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    removeEventListener('online', hurry);
    document.removeEventListener('visibilitychange', hurry);
    socket?.close();
    wake();
  };

  const take = (status) => {
    if (over || status.jobId !== jobId || !(status.version > version)) return;
    version = status.version;
    if (isEnded(status)) end();
    onStatus(status);
  };

  const pause = (ms) =>
    new Promise((resolve) => {
      const timer = after(ms, resolve);
      wake = () => (cancel(timer), resolve());
    });
  const hurry = () => {
    if (document.visibilityState !== 'visible') return;
    until = 0;
    wake();
  };

  const ask = async () => {
    try {
      take(await api.get(`/jobs/${jobId}`));
    } catch (error) {
      const problem = asProblem(error);
      if (problem.code === 'signed_out') end();
      if (!problem.mayPass) onProblem(problem);
      if (problem.code === 'unreachable') onLink('lost');
      return false;
    }
    return true;
  };

  // One connection, from its ticket to its end; whether it ever opened.
  const connected = async () => {
    const { ticket } = await api.post('/ws-ticket');
    if (over) return true;
    return new Promise((resolve) => {
      let opened = false;
      let deadline = null;
      const expect = () => {
        deadline ??= after(ANSWER_MS, () => socket.close());
      };
      const ping = () => {
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(JSON.stringify({ action: 'ping' }));
        expect();
        after(PING_MS, ping);
      };
      socket = new WebSocket(`${config.webSocketUrl}?ticket=${encodeURIComponent(ticket)}`);
      expect();
      socket.onopen = () => {
        opened = true;
        socket.send(JSON.stringify({ action: 'subscribe', jobId, sinceVersion: version }));
        after(PING_MS, ping);
      };
      socket.onmessage = ({ data }) => {
        cancel(deadline);
        deadline = null;
        failures = 0;
        onLink('live');
        const message = parsed(data);
        if (message?.type === 'status') take(message);
      };
      socket.onclose = () => {
        cancel(deadline);
        resolve(opened);
      };
    });
  };

  const run = async () => {
    while (!over) {
      try {
        unopened = (await connected()) ? 0 : unopened + 1;
      } catch (error) {
        if (asProblem(error).code === 'signed_out') return end();
        unopened += 1;
      }
      if (over) return;
      failures += 1;
      // A blink that the first retry mends is not worth telling.
      if (failures > 1) onLink(unopened >= TRIES_BEFORE_POLLING ? 'polling' : 'lost');
      const wait = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS) * (0.75 + Math.random() / 2);
      until = Date.now() + wait;
      do {
        if (unopened >= TRIES_BEFORE_POLLING && (await ask())) onLink('polling');
        await pause(unopened >= TRIES_BEFORE_POLLING ? Math.min(POLL_MS, wait) : wait);
      } while (!over && Date.now() < until);
    }
  };

  addEventListener('online', hurry);
  document.addEventListener('visibilitychange', hurry);
  ask().then(() => over || run());
  return end;
};
