// Cognito's secure remote password (SRP-6a over RFC 5054's 3072-bit group, generator 2): the password is proved,
// never sent. The names are the protocol's: a, A are ours, B and the salt are Cognito's.

const N = BigInt(
  '0xFFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD' +
    'EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED' +
    'EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F' +
    '83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B' +
    'E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510' +
    '15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7' +
    'ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C' +
    'BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF',
);
const G = 2n;
const SECRET_BYTES = 128; // of a, as Cognito's own clients take
const KEY_LABEL = 'Caldera Derived Key\x01'; // what Cognito's HKDF is told, and its counter
const KEY_BYTES = 16;

// One sign-in: `publicValue` opens it, `answer` proves the password to the challenge that comes back.
export class Proof {
  #a = number(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
  #A = power(G, this.#a);

  get publicValue() {
    return this.#A.toString(16);
  }

  // The responses to Cognito's PASSWORD_VERIFIER challenge. `poolId` is REGION_NAME.
  async answer(poolId, challenge, password, now = new Date()) {
    const pool = poolId.split('_')[1];
    const user = challenge.USER_ID_FOR_SRP;
    const B = BigInt(`0x${challenge.SRP_B}`);
    if (B % N === 0n) throw new Error('Cognito answered with a value that proves nothing.');
    const u = number(await sha256(padded(this.#A), padded(B)));
    const k = number(await sha256(padded(N), padded(G)));
    const identity = await sha256(bytes(`${pool}${user}:${password}`));
    const x = number(await sha256(padded(BigInt(`0x${challenge.SALT}`)), identity));
    const base = (((B - k * power(G, x)) % N) + N) % N;
    const shared = power(base, this.#a + u * x);
    const key = (await hmac(await hmac(padded(u), padded(shared)), bytes(KEY_LABEL))).slice(0, KEY_BYTES);
    const timestamp = cognitoTime(now);
    const block = Uint8Array.from(atob(challenge.SECRET_BLOCK), (letter) => letter.charCodeAt(0));
    const signature = await hmac(key, bytes(pool + user), block, bytes(timestamp));
    return {
      USERNAME: user,
      PASSWORD_CLAIM_SECRET_BLOCK: challenge.SECRET_BLOCK,
      PASSWORD_CLAIM_SIGNATURE: btoa(String.fromCharCode(...signature)),
      TIMESTAMP: timestamp,
    };
  }
}

// `Tue Mar 3 09:05:07 UTC 2026`: the day without a zero before it.
export const cognitoTime = (now) => {
  const [, weekday, day, month, year, time] = /(\w+), (\d+) (\w+) (\d+) ([\d:]+)/.exec(now.toUTCString());
  return `${weekday} ${month} ${Number(day)} ${time} UTC ${year}`;
};

const power = (base, exponent) => {
  let [result, square] = [1n, base % N];
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % N;
    square = (square * square) % N;
  }
  return result;
};

const bytes = (text) => new TextEncoder().encode(text);

const number = (array) => BigInt(`0x${Array.from(array, (byte) => byte.toString(16).padStart(2, '0')).join('')}`);

// Big-endian, with a zero byte before a high bit that is set, as Cognito's clients do.
const padded = (value) => {
  let hex = value.toString(16);
  if (hex.length % 2) hex = `0${hex}`;
  if (/^[89a-f]/.test(hex)) hex = `00${hex}`;
  return Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
};

const joined = (parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
};

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest('SHA-256', joined(parts)));

const hmac = async (key, ...parts) => {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, joined(parts)));
};
