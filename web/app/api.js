// The HTTP API. Every refusal is a Problem with the cloud's own code, words and hint.

import { Problem, unreachable } from './problem.js';

const TIMEOUT_MS = 35_000; // API Gateway itself gives up after 30 s

export class Api {
  #url;
  #session;

  constructor(config, session) {
    this.#url = config.apiUrl;
    this.#session = session;
  }

  get(path) {
    return this.#call('GET', path);
  }

  post(path, body = {}) {
    return this.#call('POST', path, body);
  }

  delete(path) {
    return this.#call('DELETE', path);
  }

  // A question that anybody may ask, signed in or not.
  async look(path) {
    return told(await this.#send(path, {}));
  }

  async #call(method, path, body) {
    let response = await this.#ask(method, path, body);
    if (response.status === 401) {
      this.#session.expire(); // its hour is over
      response = await this.#ask(method, path, body);
    }
    return told(response);
  }

  async #ask(method, path, body) {
    const headers = { Authorization: `Bearer ${await this.#session.token()}` };
    if (body) headers['Content-Type'] = 'application/json';
    return this.#send(path, { method, headers, body: body && JSON.stringify(body) });
  }

  async #send(path, request) {
    try {
      return await fetch(this.#url + path, { ...request, signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch {
      throw unreachable();
    }
  }
}

const told = async (response) => {
  if (response.status === 204) return {};
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  throw refusal(response.status, answer);
};

const refusal = (status, told) => {
  if (told?.code) return new Problem(told.code, told.detail, told.hint, status);
  if (status === 401) return new Problem('signed_out', 'You are signed out.', 'Sign in again.', status);
  const said = told?.message ? `: ${told.message}` : '';
  return new Problem('api_refused', `The cloud answered ${status}${said}.`, 'Try again in a moment.', status);
};
