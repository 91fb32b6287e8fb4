// Numbers and times in words, as the command and the report have them.

const LOCALE = 'en-GB'; // the app speaks English; its numbers are to look like its words

export const count = (value) => Math.round(value).toLocaleString('en-US');

export const counted = (value, thing) => `${count(value)} ${value === 1 ? thing : `${thing}s`}`;

export const decimal = (value, digits = 1) => value.toFixed(digits);

// A number of bytes in the unit that suits it, powers of 1000 as file managers have them.
export const size = (bytes) => {
  for (const [unit, worth] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) {
    if (bytes >= worth) return `${(bytes / worth).toFixed(bytes < 10 * worth ? 1 : 0)} ${unit}`;
  }
  return `${bytes} bytes`;
};

// Wall time as a clock shows it: 0:07, 12:40, 1:02:03.
export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};

// As exact as an estimate is: steps of 5 s, then of 10 s, then minutes, then hours; empty at the end.
export const aboutLeft = (seconds) => {
  if (!(seconds > 0)) return '';
  if (seconds > 5400) return `about ${Math.ceil(seconds / 3600)} h left`;
  if (seconds > 120) return `about ${Math.ceil(seconds / 60)} min left`;
  const step = seconds <= 60 ? 5 : 10;
  return `about ${Math.ceil(seconds / step) * step} s left`;
};

export const date = (iso) =>
  new Date(iso).toLocaleString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });

export const timeOfDay = (iso) => new Date(iso).toLocaleTimeString(LOCALE, { hour: '2-digit', minute: '2-digit' });

// A price in dollars; what is not known is said to be so, what is nothing is nothing.
export const price = (dollars) => {
  if (dollars === null || dollars === undefined) return 'not known';
  return dollars === 0 ? 'free' : `$${dollars.toFixed(dollars < 0.1 ? 3 : 2)}`;
};

// "a, b and 3 more"
export const listed = (names, shown = 3) => {
  const first = names.slice(0, shown).join(', ');
  return names.length > shown ? `${first} and ${names.length - shown} more` : first;
};
