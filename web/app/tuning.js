// The form of the tuning fields, made from the API's own document: a new field shows up here by itself.

import { h, replace } from './dom.js';
import { field, press } from './parts.js';

const FIRST = ['max_iterations', 'train_max_size', 'max_gaussians', 'holdout', 'video', 'crop']; // what most people change

// A form; `read()` is an object of what was filled in.
export const tuningForm = () => {
  const inputs = new Map();
  const body = h('div', {}, h('p', { class: 'quiet small' }, 'Reading the settings…'));
  const element = h('details', { class: 'tuning' }, h('summary', {}, 'Fine tuning'), body);
  let loading = null;
  element.addEventListener('toggle', () => {
    loading ??= load().catch((error) => {
      console.error(error);
      loading = null;
      replace(body, h('p', { class: 'quiet small' }, 'The settings can’t be read just now. The preset does without them.'));
    });
  });

  const load = async () => {
    const response = await fetch('openapi.json');
    if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
    const schemas = (await response.json()).components.schemas;
    const fields = schemas.TuningRequest.properties;
    const names = Object.keys(fields).filter((name) => name !== 'preset');
    const made = new Map(names.map((name) => [name, control(name, plain(fields[name], schemas))]));
    for (const [name, { input }] of made) inputs.set(name, input);
    const rest = h('div', { class: 'settings', hidden: true }, names.filter((name) => !FIRST.includes(name)).map((name) => made.get(name).element));
    const more = press(`All ${names.length} settings`, () => (rest.hidden = false, more.hidden = true), 'plain small');
    replace(body,
      h('p', { class: 'quiet small' }, 'What is left empty is as the preset has it.'),
      FIRST.filter((name) => made.has(name)).map((name) => made.get(name).element),
      more, rest);
  };

  const read = () => {
    const asked = {};
    for (const [name, input] of inputs) {
      if (input.value === '') continue;
      asked[name] = input.dataset.kind === 'boolean' ? input.value === 'true' : input.dataset.kind === 'string' ? input.value : Number(input.value);
    }
    return asked;
  };
  return { element, read };
};

// What a field may be, without the null that stands for "as the preset has it".
const plain = (schema, schemas) => {
  const choices = schema.anyOf ?? [schema];
  const found = choices.find(({ type }) => type !== 'null') ?? schema;
  const resolved = found.$ref ? schemas[found.$ref.split('/').pop()] : found;
  return { ...resolved, description: schema.description ?? resolved.description };
};

const control = (name, schema) => {
  const words = name.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());
  let input;
  if (schema.type === 'boolean') input = choice(['true', 'false'], (value) => (value === 'true' ? 'yes' : 'no'));
  else if (schema.enum) input = choice(schema.enum, String);
  else if (schema.type === 'integer' || schema.type === 'number') input = numberInput(schema);
  else input = h('input', { type: 'text', spellcheck: 'false' });
  input.name = name;
  input.dataset.kind = schema.enum || !['boolean', 'integer', 'number'].includes(schema.type) ? 'string' : schema.type;
  return { input, element: field(words, input, hintOf(schema)) };
};

const choice = (values, wordOf) =>
  h('select', {}, h('option', { value: '' }, 'as the preset has it'), values.map((value) => h('option', { value }, wordOf(value))));

const numberInput = (schema) =>
  h('input', {
    type: 'number',
    inputmode: 'decimal',
    min: schema.minimum ?? schema.exclusiveMinimum,
    max: schema.maximum ?? schema.exclusiveMaximum,
    step: schema.type === 'integer' ? 1 : 'any',
  });

const hintOf = ({ description, minimum, maximum }) => {
  const range = minimum !== undefined && maximum !== undefined ? `${minimum.toLocaleString('en-US')} to ${maximum.toLocaleString('en-US')}` : '';
  return [description && description[0].toUpperCase() + description.slice(1), range].filter(Boolean).join(' · ');
};
