// Building the page. Texts become text nodes, never markup: nothing that a user or the cloud says can be code.

const SVG = 'http://www.w3.org/2000/svg';

// `h('p', { class: 'quiet', onclick: f, hidden: true }, 'text', child)`; a property of null or false is left out.
export const h = (tag, properties, ...children) => filled(document.createElement(tag), properties, children);

// The same for SVG.
export const s = (tag, properties, ...children) =>
  filled(document.createElementNS(SVG, tag), properties, children);

const filled = (element, properties, children) => {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  append(element, children);
  return element;
};

export const append = (element, children) => {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
};

// Everything in `element` gives way to `children`.
export const replace = (element, ...children) => {
  element.replaceChildren();
  append(element, children);
};

// Writes a text only where it changed, so that a screen reader tells only what is new.
export const say = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
