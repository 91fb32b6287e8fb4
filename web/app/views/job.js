// One job: while it runs its progress, then its model, or why there is none.

import { h, replace } from '../dom.js';
import { date } from '../format.js';
import { follow, isEnded } from '../live.js';
import { ask, inCode, press, problemBox } from '../parts.js';
import { asProblem } from '../problem.js';
import { STAGES, stateOf } from '../stages.js';
import { batch } from './batch.js';
import { progress } from './progress.js';
import { result } from './result.js';

const FRESH_MS = 60_000; // a zip that has just arrived has its row within seconds

export const job = (main, app, jobId) => {
  const told = h('div');
  const head = h('div', { class: 'headline' });
  const body = h('div');
  const link = h('p', { class: 'link-state', role: 'status', hidden: true });
  replace(main, head, link, told, body);
  let shown = null; // the part for the state that the job is in: {name, show, end}
  let unfollow = () => {};
  const opened = Date.now();

  const show = (status) => {
    if (!shown) replace(told); // it was not there yet
    link.hidden = isEnded(status) || link.hidden;
    app.title(status.jobName);
    const name = isEnded(status) ? status.status : 'LIVE';
    if (shown?.name !== name) {
      shown?.end?.();
      replace(told);
      const part = status.kind === 'batch' ? batch : ({ COMPLETED: result, LIVE: progress }[name] ?? outcome);
      shown = { name, ...part(app, status, { retry, stop }) };
      replace(body, shown.element);
      drawHead(status);
      if (isEnded(status)) app.say(`${status.jobName}: ${stateOf(status)}.`);
    }
    drawActions(status);
    shown.show?.(status);
  };

  const actions = h('div', { class: 'actions' });
  const drawHead = (status) => {
    const badge = isEnded(status) && h('span', { class: status.status === 'COMPLETED' ? 'badge good' : 'badge' }, stateOf(status), ' · ');
    replace(head,
      h('div', {},
        h('p', {}, badge, `${badge ? 'begun' : 'Begun'} ${date(status.createdAt)}`),
        h('h1', { tabindex: '-1' }, status.jobName || jobId)),
      actions);
    keepFocus();
  };
  // Whoever's button is gone is at the heading then, and not before the whole page.
  const keepFocus = () => {
    if (document.activeElement === document.body) head.querySelector('h1')?.focus({ preventScroll: true });
  };

  let drawn = '';
  const drawActions = (status) => {
    if (drawn === status.status || status.kind === 'batch') return;
    drawn = status.status;
    if (!isEnded(status)) {
      const stopping = status.status === 'STOPPING';
      replace(actions, press(stopping ? 'Stopping …' : 'Stop', stop, stopping ? null : 'danger', { disabled: stopping }));
    } else {
      const measured = status.status === 'COMPLETED' && h('a', { class: 'button', href: `#/jobs/${jobId}/quality` }, 'How good is it?');
      replace(actions, measured, press('Delete', remove, 'plain'));
    }
    keepFocus();
  };

  const begin = () => {
    unfollow = follow(app.api, app.config, jobId, {
      onStatus: show,
      onLink: (state) => {
        link.hidden = state === 'live';
        link.textContent = {
          lost: 'The connection is lost. The work goes on in the cloud; this page comes back to it by itself.',
          polling: 'Live updates are blocked here, so this page asks every few seconds.',
        }[state] ?? '';
      },
      onProblem: (problem) => {
        if (problem.code === 'no_such_job' && Date.now() - opened < FRESH_MS && !shown) return waiting(problem);
        return replace(told, problemBox(problem, h('a', { class: 'button', href: '#/jobs' }, 'All models')));
      },
    });
  };

  const waiting = (problem) => {
    if (!head.firstChild) replace(head, h('h1', { tabindex: '-1' }, 'One moment'));
    replace(body, h('p', { class: 'quiet' }, 'The cloud is looking at the photos.'));
    setTimeout(() => !shown && main.contains(head) && replace(body, problemBox(problem)), FRESH_MS);
  };

  // A change that the user asked for; refused, it says why.
  const change = async (work) => {
    replace(told);
    try {
      await work();
      return true;
    } catch (error) {
      replace(told, problemBox(asProblem(error)));
      return false;
    }
  };

  const stop = async () => {
    const discard = h('input', { type: 'checkbox' });
    const answer = await ask('Stop this job?', 'What its finished stages made is kept, and it can go on from there later.', {
      yes: 'Stop it',
      no: 'Let it run',
      extra: h('label', { class: 'tick' }, discard, 'Also delete what it has made so far'),
      read: () => ({ discardArtifacts: discard.checked }),
    });
    if (answer) await change(async () => show(await app.api.post('/stop-job', { jobId, ...answer })));
  };

  const retry = async (asked) => {
    if (!(await change(() => app.api.post(`/jobs/${jobId}/retry`, asked)))) return window.scrollTo(0, 0);
    unfollow();
    shown?.end?.();
    shown = null;
    drawn = '';
    begin();
  };

  const remove = async () => {
    const answer = await ask('Delete this model?', 'Everything that was made of these photos is deleted. This can’t be undone.', {
      yes: 'Delete it',
      no: 'Keep it',
    });
    if (answer && (await change(() => app.api.delete(`/jobs/${jobId}`)))) location.hash = '#/jobs';
  };

  begin();
  return () => {
    unfollow();
    shown?.end?.();
  };
};

// A job that ended without a model: what happened, what to do, what was kept.
const outcome = (app, status, { retry }) => {
  const refused = status.status === 'REJECTED';
  const stopped = status.status === 'STOPPED';
  const { message = 'This job ended without a model.', hint: told = '' } = status.error ?? {};
  const hint = stopped ? '' : told; // that one is for those who have no button
  const kept = STAGES.filter(([name]) => status.stages[name]?.ended).map(([, words]) => words.toLowerCase());
  const next = STAGES.find(([name]) => !status.stages[name]?.ended);
  const steps = STAGES.slice(0, STAGES.findIndex((stage) => stage === next) + 1 || STAGES.length);
  const from = h('select', { 'aria-label': 'Where to go on' }, steps.map(([name, words]) => h('option', { value: name, selected: name === next?.[0] }, `from ${words.toLowerCase()}`)));
  return {
    element: h('div', {},
      h('div', { class: 'outcome' },
        h('p', { class: 'serif' }, message),
        hint && h('p', {}, inCode(hint)),
        !refused && h('p', { class: 'small' }, kept.length ? `Kept, and not done again: ${kept.join(' and ')}.` : 'The photos are kept for a week.')),
      status.warnings.length > 0 && h('ul', { class: 'notes' }, status.warnings.map((words) => h('li', {}, words))),
      h('div', { class: 'actions' },
        !refused && press('Go on', () => retry({ pipelineStep: from.value }), 'primary'),
        !refused && h('div', {}, from),
        h('a', { class: refused ? 'button primary' : 'button', href: '#/new' }, 'Send other photos'),
        refused && h('a', { class: 'small', href: '#/photos' }, 'How to take good photos'))),
  };
};
