// A client of Server-Sent Events as its developers have it: the npm package
// "eventsource", told by nobody how our streams are made.  Prints each event,
// and each opening, as a line of JSON, until somebody writes a line to it.

import { EventSource } from 'eventsource';

const source = new EventSource(process.env.EVENTS_URL, {
  fetch: (input, init) => fetch(input, {
    ...init,
    headers: { ...init.headers, Authorization: `Bearer ${process.env.TOKEN}` },
  }),
});

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

source.addEventListener('open', () => say({ open: true }));
source.addEventListener('error', (e) => say({ error: e.code ?? null }));

for (const type of ['tenant.created', 'tenant.updated', 'stream.closed']) {
  source.addEventListener(type, (e) => say({
    type: e.type, id: e.lastEventId, data: JSON.parse(e.data),
  }));
}

process.stdin.once('data', () => {
  source.close();
  process.exit(0);
});
