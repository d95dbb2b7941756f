// node work.js PEER CONFIG: a peer's worker, until it is killed. Prints "ready" when it is.

import { createMailer } from './mailer.js';

const config = JSON.parse(process.argv[3]);
const peer = await import(`./${process.argv[2]}.js`);

await peer.work(config, createMailer(config));
console.log('ready');
