// What a receiver of webhooks does: verifies requests as Standard Webhooks has
// it, v1 with the package "standardwebhooks".  That package knows no v1a, so
// those are verified by Node.js's own Ed25519.  Reads a JSON array of
// {key, id, timestamp, signature, body} from the file CASES, and writes for
// each of them the payload, or why it is refused.

import { readFileSync } from 'node:fs';
import { createPublicKey, verify } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

// RFC 8410: what stands before the 32 bytes of an Ed25519 key
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

function v1a({ key, id, timestamp, signature, body }) {
  const publicKey = createPublicKey({
    key: Buffer.concat([SPKI, Buffer.from(key.slice('whpk_'.length), 'base64')]),
    format: 'der',
    type: 'spki',
  });
  const content = Buffer.from(`${id}.${timestamp}.${body}`);

  for (const one of signature.split(' ')) {
    const [version, text] = one.split(',');
    if (version === 'v1a' && verify(null, content, publicKey, Buffer.from(text, 'base64'))) {
      return JSON.parse(body);
    }
  }

  throw new Error('no signature is right');
}

function v1({ key, id, timestamp, signature, body }) {
  return new Webhook(key).verify(body, {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signature,
  });
}

const cases = JSON.parse(readFileSync(process.env.CASES, 'utf8'));

console.log(JSON.stringify(cases.map((one) => {
  try {
    return { payload: one.key.startsWith('whpk_') ? v1a(one) : v1(one) };
  } catch (error) {
    return { refused: error.message };
  }
})));
