// What a text of JSON says, or null where it is none.
export const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
