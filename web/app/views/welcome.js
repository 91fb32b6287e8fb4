// Before anybody is signed in: what this is, the way in, and what to photograph.

import { h, replace } from '../dom.js';
import { field, inCode, problemBox } from '../parts.js';
import { asProblem } from '../problem.js';
import { guide } from './guide.js';

export const welcome = (main, app) => {
  replace(main,
    h('div', { class: 'welcome' },
      h('div', {},
        h('h1', {}, 'Your flight, as a place to look around in'),
        h('p', { class: 'lead' }, 'Spaceport makes a 3D model of your drone photos: true to scale, and small enough for a link.'),
        signInForm(app)),
      h('figure', {},
        h('div', { class: 'layers' },
          h('img', { src: 'pictures/flight.jpg', width: 1500, height: 1125, alt: 'A hamlet by a lake, seen from the air.' }),
          h('img', { src: 'pictures/flight.svg', alt: 'Above it, the way of a drone: lines back and forth looking straight down, then a round that looks inwards.' })),
        h('figcaption', {}, 'The demo flight: 14 photos straight down, in lines, and 6 from around it at a slant.'))),
    guide());
};

const signInForm = (app) => {
  const name = h('input', { name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const stay = h('input', { type: 'checkbox', name: 'stay' });
  return door('Sign in', [
    field('Name or e-mail', name),
    field('Password', password),
    h('label', { class: 'tick' }, stay, 'Stay signed in on this device'),
  ], app.config.signInHint, async (form) => {
    const challenge = await app.session.signIn(name.value.trim(), password.value, stay.checked);
    if (challenge) form.replaceWith(newPasswordForm(app, challenge, stay.checked));
    else await app.show();
  });
};

const newPasswordForm = (app, challenge, stay) => {
  const password = h('input', { name: 'new-password', type: 'password', autocomplete: 'new-password', required: true, minlength: 12, autofocus: true });
  return door('Set it and go on', [
    h('p', {}, 'This is your first time here: choose a password of your own.'),
    field('New password', password, '12 characters or more, with small and capital letters and digits.'),
  ], '', async () => {
    await app.session.choosePassword(challenge, password.value, stay);
    await app.show();
  });
};

// A form with one button, which does `enter(form)` or tells why it could not.
const door = (words, fields, hint, enter) => {
  const told = h('div');
  const button = h('button', { class: 'primary' }, words);
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    replace(told);
    try {
      await enter(form);
    } catch (error) {
      replace(told, problemBox(asProblem(error)));
      form.querySelector('[type=password]').select();
    } finally {
      button.disabled = false;
    }
  };
  const form = h('form', { class: 'enter', onsubmit: submit, 'aria-label': words }, told, fields, button, hint && h('p', { class: 'hint' }, inCode(hint)));
  return form;
};
