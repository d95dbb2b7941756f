// node work.js PEER CONFIG: the worker of a peer, until it is killed. It prints "ready" after it
// has started.

import { createMailer } from './mailer.js';

const config = JSON.parse(process.argv[3]);
const peer = await import(`./${process.argv[2]}.js`);

await peer.work(config, createMailer(config));
console.log('ready');
