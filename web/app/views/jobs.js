// All models, newest first.

import { addressIn, addressOf } from '../config.js';
import { h, replace } from '../dom.js';
import { counted, date, price } from '../format.js';
import { land, press, problemBox, progressLine } from '../parts.js';
import { asProblem } from '../problem.js';
import { ACTIVE, costOf, stateOf } from '../stages.js';

const PAGE = 20;
const AGAIN_MS = 5_000; // while something runs; its own page is live

export const jobs = (main, app) => {
  const list = h('ul', { class: 'jobs' });
  const told = h('div');
  const more = press('Older ones', () => {
    pages += 1;
    clearTimeout(timer);
    draw();
  }, 'more', { hidden: true });
  let pages = 1;
  let over = false;
  let timer = null;
  let drawn = '';

  const load = async () => {
    const found = [];
    let before = null;
    for (let page = 0; page < pages; page += 1) {
      const told = await app.api.get(`/jobs?limit=${PAGE}${before ? `&before=${encodeURIComponent(before)}` : ''}`);
      found.push(...told.jobs);
      before = told.next;
      if (!before) break;
    }
    return { found, next: before };
  };

  const draw = async () => {
    try {
      const { found, next } = await load();
      if (over) return;
      replace(told);
      more.hidden = !next;
      if (!found.length) replace(told, nothingYet());
      const state = JSON.stringify(found.map(({ jobId, version }) => [jobId, version]));
      if (state !== drawn) replace(list, found.map((status) => row(app, status)));
      drawn = state;
      if (found.some(({ status }) => ACTIVE.has(status) || status === 'STOPPING')) timer = setTimeout(draw, AGAIN_MS);
    } catch (error) {
      const problem = asProblem(error);
      if (over || problem.code === 'signed_out') return;
      replace(told, problemBox(problem));
      if (problem.mayPass) timer = setTimeout(draw, AGAIN_MS);
    }
  };

  replace(main,
    h('div', { class: 'headline' }, h('h1', {}, 'Models'), h('a', { class: 'button primary', href: '#/new' }, 'New model')),
    told, list, more);
  draw();
  return () => {
    over = true;
    clearTimeout(timer);
  };
};

const nothingYet = () =>
  h('div', { class: 'outcome' },
    h('p', { class: 'serif' }, 'Nothing here yet.'),
    h('p', {}, 'Your first model is a flight away: some twenty photos that overlap are enough. ', h('a', { href: '#/photos' }, 'How to take them'), '.'));

const row = (app, status) => {
  const isTraining = status.status === 'RUNNING' && status.metrics.iteration !== undefined;
  const picture = addressOf(app.config, status.outputs?.thumbnail) ?? (isTraining && addressIn(app.config, status.jobId, 'checkpoints/preview.jpg'));
  const line = progressLine(`Progress of ${status.jobName}`);
  line.set(status.progress);
  const cost = costOf(status);
  const isLive = ACTIVE.has(status.status);
  return h('li', {}, h('a', { href: `#/jobs/${status.jobId}` },
    h('div', { class: 'screen' }, land(), picture && h('img', { src: picture, alt: '', loading: 'lazy', onerror: (event) => event.target.remove() })),
    h('div', {}, h('b', {}, status.jobName || status.jobId), h('small', {}, date(status.createdAt), status.kind === 'batch' && ` · ${counted(status.members.length, 'job')}`), status.error && h('small', {}, status.error.message)),
    h('div', { class: 'state' }, stateOf(status), isLive && status.status === 'RUNNING' && line.element),
    h('div', { class: 'cost' }, cost ? price(cost) : '')));
};
