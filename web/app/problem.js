// What went wrong, in words: a code for programs, a sentence and what to do about it for people.

export class Problem extends Error {
  constructor(code, message, hint = '', status = 0) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }

  // Whether it may pass by itself: asked again in a while, the cloud may answer.
  get mayPass() {
    return this.code === 'unreachable' || this.status >= 500 || this.status === 429;
  }
}

export const unreachable = () =>
  new Problem('unreachable', 'The cloud can’t be reached.', 'Check the connection; this page tries again by itself.');

// Any error as a Problem: a fault of the page itself is told as one, and is in the console.
export const asProblem = (error) => {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem('page_fault', 'Something went wrong in this page.', 'Reload it; what was sent is kept.');
};
