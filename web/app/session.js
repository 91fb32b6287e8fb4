// Who is signed in. Cognito is asked by its own API; the access token lives in memory, the refresh token in the
// tab's storage, or, where the user wants to stay signed in, in the browser's.

import { parsed } from './json.js';
import { Problem, unreachable } from './problem.js';
import { Proof } from './srp.js';

const TARGET = 'AWSCognitoIdentityProviderService';
const STORED = 'spaceport.session';
const EARLY_MS = 60_000; // a token is renewed this long before its end: clocks differ, and requests take time

export class Session {
  #config;
  #access = null;
  #renewing = null;
  onEnd = () => {};

  constructor(config) {
    this.#config = config;
    const { access, refresh = null, name = null } = parsed(sessionStorage.getItem(STORED) ?? localStorage.getItem(STORED)) ?? {};
    Object.assign(this, { refresh, name });
    this.#access = access && expiry(access) > Date.now() ? access : null;
  }

  get isSignedIn() {
    return this.#access !== null || Boolean(this.refresh);
  }

  // Signs in. Returns null, or the challenge of a new password where the account still has its first one.
  async signIn(name, password, stay) {
    const proof = new Proof();
    const opened = await this.#ask('InitiateAuth', {
      AuthFlow: 'USER_SRP_AUTH',
      ClientId: this.#config.userPoolClientId,
      AuthParameters: { USERNAME: name, SRP_A: proof.publicValue },
    });
    const told = await this.#ask('RespondToAuthChallenge', {
      ChallengeName: opened.ChallengeName,
      ClientId: this.#config.userPoolClientId,
      Session: opened.Session,
      ChallengeResponses: await proof.answer(this.#config.userPoolId, opened.ChallengeParameters, password),
    });
    return this.#take(told, stay);
  }

  // Answers the challenge of a new password.
  async choosePassword(challenge, password, stay) {
    const told = await this.#ask('RespondToAuthChallenge', {
      ChallengeName: challenge.ChallengeName,
      ClientId: this.#config.userPoolClientId,
      Session: challenge.Session,
      ChallengeResponses: { USERNAME: challenge.name, NEW_PASSWORD: password },
    });
    await this.#take(told, stay);
  }

  // Takes over a token that the command signed in with: it is good for an hour, in this tab.
  adopt(access) {
    const { username, exp } = claims(access) ?? {};
    if (!username || exp * 1000 <= Date.now()) return;
    this.#forget();
    this.#keep(access, null, username, false);
  }

  // A token that is good for a while. Raises a Problem `signed_out` where there is none to be had.
  async token() {
    if (this.#access && expiry(this.#access) - EARLY_MS > Date.now()) return this.#access;
    if (!this.refresh) {
      if (this.#access && expiry(this.#access) > Date.now()) return this.#access;
      throw this.#ended();
    }
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  // The API refused the token: it is worth nothing any more.
  expire() {
    this.#access = null;
  }

  async signOut() {
    const refresh = this.refresh;
    this.#forget();
    if (!refresh) return;
    const revoked = { Token: refresh, ClientId: this.#config.userPoolClientId };
    await this.#ask('RevokeToken', revoked).catch(() => {}); // here it is forgotten all the same
  }

  async #renew() {
    try {
      const told = await this.#ask('InitiateAuth', {
        AuthFlow: 'REFRESH_TOKEN_AUTH',
        ClientId: this.#config.userPoolClientId,
        AuthParameters: { REFRESH_TOKEN: this.refresh },
      });
      this.#keep(told.AuthenticationResult.AccessToken, this.refresh, this.name, this.#stays);
      return this.#access;
    } catch (error) {
      throw error.mayPass ? error : this.#ended();
    }
  }

  #ended() {
    this.#forget();
    this.onEnd();
    return new Problem('signed_out', 'You are signed out.', 'Sign in again; what runs goes on meanwhile.');
  }

  #take(told, stay) {
    if (told.ChallengeName === 'NEW_PASSWORD_REQUIRED') {
      const name = told.ChallengeParameters?.USER_ID_FOR_SRP ?? told.ChallengeParameters?.USERNAME;
      return { ...told, name };
    }
    if (!told.AuthenticationResult) {
      throw new Problem(
        'more_than_a_password',
        'This account asks for more than a password.',
        'Ask whoever runs this stack to switch multi-factor authentication off for it.',
      );
    }
    const { AccessToken: access, RefreshToken: refresh } = told.AuthenticationResult;
    this.#keep(access, refresh, claims(access).username, stay);
    return null;
  }

  get #stays() {
    return localStorage.getItem(STORED) !== null;
  }

  #keep(access, refresh, name, stay) {
    this.#access = access;
    Object.assign(this, { refresh, name });
    const kept = JSON.stringify({ refresh, name, access: refresh ? null : access });
    (stay ? localStorage : sessionStorage).setItem(STORED, kept);
  }

  #forget() {
    this.#access = null;
    Object.assign(this, { refresh: null, name: null });
    sessionStorage.removeItem(STORED);
    localStorage.removeItem(STORED);
  }

  async #ask(action, body) {
    let response;
    try {
      response = await fetch(`${this.#config.cognitoUrl}/`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': `${TARGET}.${action}` },
        body: JSON.stringify(body),
      });
    } catch {
      throw unreachable();
    }
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    throw refusal(told, response.status);
  }
}

// Cognito's refusals in our words; its own where we have none.
const refusal = (told, status) => {
  const kind = String(told.__type ?? '').split('#').pop();
  const [code, message, hint] = WORDS[kind] ?? ['sign_in_failed', told.message ?? 'You could not be signed in.', ''];
  return new Problem(code, message, kind === 'InvalidPasswordException' ? told.message : hint, status);
};

const WRONG = ['wrong_password', 'The name and the password don’t belong together.', 'Try again.'];
const WORDS = {
  NotAuthorizedException: WRONG,
  UserNotFoundException: WRONG,
  InvalidPasswordException: ['weak_password', 'This password is too easy to guess.', ''],
  PasswordResetRequiredException: [
    'reset_password',
    'This account needs a new password.',
    'Ask whoever runs this stack for one.',
  ],
  TooManyRequestsException: ['too_many_tries', 'Too many tries in a short time.', 'Wait a minute.'],
};

const claims = (token) => {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
};

const expiry = (token) => (claims(token)?.exp ?? 0) * 1000;
