// Pieces that several views are made of.

import { h, s, say } from './dom.js';

// What went wrong and what to do about it; a screen reader is told at once.
export const problemBox = ({ message, hint }, ...actions) =>
  h('div', { class: 'problem', role: 'alert' },
    h('strong', {}, message),
    hint && h('p', {}, inCode(hint)),
    actions.length > 0 && h('div', { class: 'actions' }, actions));

// A text whose `commands` stand between backquotes.
export const inCode = (text) =>
  text.split('`').map((part, index) => (index % 2 ? h('code', {}, part) : part));

// A thin line with a pill that grows along it. `set(0..1)` moves it.
export const progressLine = (label) => {
  const pill = h('i');
  const element = h('div', { class: 'line', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 }, pill);
  const set = (share) => {
    element.style.setProperty('--done', Math.min(1, Math.max(0, share)).toFixed(4));
    element.setAttribute('aria-valuenow', Math.floor(100 * share));
  };
  set(0);
  return { element, set };
};

// [[value, unit, what it is], ...]; a value of null is left out.
export const figures = (rows) =>
  h('dl', { class: 'figures' }, rows.filter(([value]) => value !== null && value !== undefined).map(([value, unit, what]) =>
    h('div', {}, h('dt', {}, what), h('dd', {}, value, unit && h('span', {}, unit)))));

// A button; `more` are other properties that it has.
export const press = (words, onclick, kind = null, more = {}) => h('button', { type: 'button', class: kind, onclick, ...more }, words);

export const section = (title, ...children) => h('section', { 'aria-label': title }, h('h2', {}, title), children);

export const land = () => h('div', { class: 'land', 'aria-hidden': 'true' });

export const field = (label, input, hint) => {
  const id = `f${(counter += 1)}`;
  input.id = id;
  const told = hint && h('small', { id: `${id}h` }, hint);
  if (told) input.setAttribute('aria-describedby', `${id}h`);
  return h('label', { class: 'field', for: id }, h('span', {}, label), input, told);
};
let counter = 0;

// A question in a dialog; resolves to null where it was put aside, else to what `read` makes of it.
export const ask = (title, words, { yes, no, extra, read = () => true }) =>
  new Promise((resolve) => {
    const close = (answer) => () => {
      dialog.close();
      dialog.remove();
      resolve(answer());
    };
    const heading = `f${(counter += 1)}`;
    const dialog = h('dialog', { 'aria-labelledby': heading, oncancel: close(() => null) },
      h('h2', { id: heading }, title),
      h('p', { class: 'quiet' }, words),
      extra,
      h('div', { class: 'actions' },
        press(yes, close(read), 'primary'),
        press(no, close(() => null), null, { autofocus: true })));
    document.body.append(dialog);
    dialog.showModal();
  });

// Copies a text; the button tells that it did.
export const copyButton = (text) => {
  const button = press('Copy', async () => {
    await navigator.clipboard.writeText(text).catch(() => {});
    say(button, 'Copied');
    setTimeout(() => say(button, 'Copy'), 2000);
  });
  return button;
};

export const compass = () =>
  s('svg', { viewBox: '0 0 40 40', 'aria-hidden': 'true', fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5 },
    s('circle', { cx: 20, cy: 20, r: 17 }),
    s('path', { d: 'M20 7l5 13h-10z', fill: 'currentColor', stroke: 'none' }),
    s('path', { d: 'M20 33l5-13h-10z' }));
