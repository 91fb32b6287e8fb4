// A job at work: the scene as it learns, a thin line, and the numbers as they come.

import { psnrCurve } from '../chart.js';
import { addressIn } from '../config.js';
import { h, replace, say } from '../dom.js';
import { aboutLeft, clock, count, decimal, timeOfDay } from '../format.js';
import { parsed } from '../json.js';
import { figures, land, progressLine } from '../parts.js';
import { STAGES } from '../stages.js';

const PREVIEW_MS = 4_000; // training draws one every four seconds
const KEPT = 'spaceport.curve.';
const ESTIMATE_FROM = 0.08; // of the work: before that what is left is anybody's guess

export const progress = (app, first) => {
  const jobId = first.jobId;
  const line = progressLine('Progress');
  const message = h('b');
  const percent = h('span');
  const detail = h('span');
  const time = h('span');
  const corner = h('p', { class: 'corner', hidden: true }, 'As it looks now, from one photo’s place');
  const screen = h('div', { class: 'screen wide' }, land(), corner, h('div', { class: 'shade' }),
    h('div', { class: 'over' },
      h('p', { class: 'message' }, message, percent), line.element, h('p', { class: 'under' }, detail, time)));
  const numbers = h('div', { class: 'section' });
  const way = h('ol', { class: 'way' });
  const warnings = h('ul', { class: 'notes' });
  let status = first;
  const kept = () => `${KEPT}${jobId}.${status.startedAt}`; // of this run: it begins while the page is open, or before
  const curve = psnrCurve(parsed(sessionStorage.getItem(kept())) ?? []);
  const preview = previews(screen, corner, addressIn(app.config, jobId, 'checkpoints/preview.jpg'));
  let spoken = ''; // what a screen reader was told: a line that moves all the time would never let it finish

  const tick = () => {
    const begun = Date.parse(status.startedAt ?? status.createdAt);
    const elapsed = (Date.now() - begun) / 1000;
    const left = status.status === 'RUNNING' ? aboutLeft(secondsLeft(status, elapsed)) : '';
    say(time, [clock(elapsed), left].filter(Boolean).join(' · '));
  };
  const timer = setInterval(tick, 1000);

  const show = (newer) => {
    status = newer;
    line.set(status.progress);
    const words = messageOf(status);
    say(message, words);
    if (spoken !== words) app.say((spoken = words));
    say(percent, `${Math.floor(100 * status.progress)} %`);
    say(detail, status.status === 'RUNNING' ? status.detail : '');
    tick();
    const { metrics, stage } = status;
    replace(numbers, figures([
      [numberOf(metrics.registered), null, 'photos placed'],
      [metrics.gaussians === undefined ? numberOf(metrics.points) : null, null, 'points of the place'],
      [stage === '3dgs' ? decimalOf(metrics.psnr) : null, 'dB', 'likeness to the photos'],
      [numberOf(metrics.gaussians), null, 'Gaussians'],
      [stage === '3dgs' ? numberOf(metrics.iteration) : null, null, 'iterations'],
    ]));
    numbers.hidden = !numbers.querySelector('dd');
    drawWay(way, status);
    replace(warnings, status.warnings.map((words) => h('li', {}, words)));
    if (stage === '3dgs' && metrics.iteration !== undefined && metrics.psnr !== undefined) {
      curve.add(metrics.iteration, metrics.psnr);
      sessionStorage.setItem(kept(), JSON.stringify(curve.points));
      preview.begin();
    }
    if (status.status === 'STOPPING') preview.end();
  };

  return {
    element: h('div', {},
      screen,
      numbers,
      h('div', { class: 'below' }, h('div', {}, h('h3', {}, 'The way'), way, warnings), curve.element)),
    show,
    end: () => {
      clearInterval(timer);
      preview.end();
    },
  };
};

const numberOf = (value) => (value === undefined ? null : count(value));
const decimalOf = (value) => (value === undefined ? null : decimal(value));

const messageOf = (status) => {
  if (status.status === 'STOPPING') return 'Stopping';
  if (status.status === 'QUEUED' && status.queuePosition) return `Waiting in the queue, place ${status.queuePosition}`;
  if (status.status === 'WAITING_CAPACITY') {
    return status.nextTryAt ? `Waiting for a free machine, next try at ${timeOfDay(status.nextTryAt)}` : 'Waiting for a free machine';
  }
  return status.message;
};

// The stage's own word of it, and by proportion what comes after; not a number where nothing can be told yet.
const secondsLeft = ({ progress: done, metrics, stages, stage }, elapsed) => {
  const byShare = done > ESTIMATE_FROM ? (elapsed * (1 - done)) / done : NaN;
  const told = stages[stage]?.ended ? NaN : metrics.seconds_left;
  return Number.isFinite(told) ? Math.max(told, byShare || 0) : byShare;
};

const drawWay = (way, status) => {
  replace(way, STAGES.map(([name, words, told]) => {
    const { started, ended, seconds } = status.stages[name] ?? {};
    const kind = ended ? 'done' : started && status.stage === name ? 'now' : '';
    const time = ended && seconds !== null ? clock(seconds) : kind === 'now' ? `${Math.floor(100 * status.stages[name].progress)} %` : '';
    return h('li', { class: kind, 'aria-current': kind === 'now' && 'step' }, h('span', {}, words, kind === 'now' && h('small', {}, ` · ${told}`)), h('span', {}, time));
  }));
};

// The scene as it trains, each picture faded over the last.
const previews = (screen, corner, address) => {
  let timer = null;
  const next = async () => {
    const image = h('img', { alt: 'The scene as it looks now', class: 'coming' });
    try {
      const response = await fetch(address, { cache: 'no-store' });
      if (!response.ok) return; // none yet: the next try is soon
      image.src = URL.createObjectURL(await response.blob());
      await image.decode();
    } catch {
      return;
    } finally {
      URL.revokeObjectURL(image.src);
    }
    if (timer === null) return;
    const earlier = screen.querySelectorAll(':scope > img');
    screen.querySelector('.land').after(image);
    for (const older of [...earlier].reverse()) image.before(older);
    requestAnimationFrame(() => requestAnimationFrame(() => image.classList.remove('coming')));
    corner.hidden = false;
    setTimeout(() => earlier.forEach((older) => older.remove()), 1000);
  };
  return {
    begin: () => {
      if (timer !== null || !address) return;
      timer = setInterval(next, PREVIEW_MS);
      next();
    },
    end: () => {
      clearInterval(timer);
      timer = null;
    },
  };
};
