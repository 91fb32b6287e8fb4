// A model that somebody passed on: anybody who has the link may look, until it ends.

import { h, replace } from '../dom.js';
import { date } from '../format.js';
import { modelFigures, modelScreen } from '../model.js';
import { figures } from '../parts.js';

const GONE = {
  share_expired: ['This link has expired', 'Ask whoever sent it to you for a new one.'],
  no_such_link: ['There is nothing at this link', 'It may have been taken back, or lost a letter on the way: ask whoever sent it to you.'],
};

export const shared = async (main, app, token) => {
  try {
    const model = await app.api.look(`/shared/${token}`);
    app.title(model.name);
    replace(main,
      h('div', { class: 'headline' }, h('div', {},
        h('p', {}, `Shown to you until ${date(model.expiresAt)}`),
        h('h1', {}, model.name || 'A model'))),
      modelScreen(model.name, model.viewerUrl, model.posterUrl),
      h('div', { class: 'section' }, figures(modelFigures(model.quality))));
  } catch (error) {
    const [title, words] = GONE[error.code] ?? [];
    if (!title) throw error;
    replace(main, h('div', { class: 'outcome' }, h('h1', {}, title), h('p', {}, words)));
  }
};
