// A batch: how many of its jobs are done, and the way to each.

import { h, replace } from '../dom.js';
import { figures, progressLine } from '../parts.js';
import { stateOf } from '../stages.js';

const ENDS = [['completed', 'are ready'], ['rejected', 'were refused'], ['failed', 'failed'], ['stopped', 'were stopped']];
const SHOWN = 100; // members by name; a batch may have 500, and each is a question

export const batch = (app, first) => {
  const line = progressLine('Jobs of the batch that have ended');
  const numbers = h('div', { class: 'section' });
  const list = h('ul', { class: 'files section' });
  let over = false;

  const drawMembers = async ({ members }) => {
    for (const jobId of members.slice(0, SHOWN)) {
      const told = await app.api.get(`/jobs/${jobId}`).catch(() => null);
      if (over) return;
      if (told) list.append(h('li', {}, h('a', { href: `#/jobs/${jobId}` }, told.jobName || jobId), h('span', {}, stateOf(told))));
    }
    if (members.length > SHOWN) list.append(h('li', { class: 'quiet' }, `and ${members.length - SHOWN} more`));
  };
  drawMembers(first);

  return {
    element: h('div', {}, line.element, numbers, list),
    show: ({ progress, members, metrics }) => {
      line.set(progress);
      replace(numbers, figures([
        [metrics.ended ?? 0, `of ${members.length}`, 'have ended'],
        ...ENDS.map(([name, words]) => [metrics[name] || null, null, words]),
      ]));
    },
    end: () => (over = true),
  };
};
