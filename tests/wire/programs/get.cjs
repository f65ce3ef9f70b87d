// Prints what a URL gives as it comes: get.cjs CLIENT URL [LENGTH OF THE BODY TO POST]
"use strict";

const http = require("node:http");
const https = require("node:https");
const { Worker } = require("node:worker_threads");

const [client, url, length] = process.argv.slice(2);
const body = length && "abcdefghij".repeat(Number(length) / 10);
const method = body ? "POST" : "GET";

function get(module, agent) {
  const request = module.request(url, { method, agent }, (response) => response.pipe(process.stdout));
  request.on("error", fail).end(body);
}

async function print() {
  const response = await fetch(url, { method, body });
  for await (const chunk of response.body) process.stdout.write(chunk);
}

// Like the agents of some clients: not one of https, and wanting its socket at once.
class Impatient extends http.Agent {
  defaultPort = 443;
  protocol = "https:";
  createConnection(options) {
    const socket = https.Agent.prototype.createConnection.call(this, options);
    return socket.setNoDelay(true);
  }
}
Impatient.prototype._getSession = https.Agent.prototype._getSession;
Impatient.prototype._cacheSession = https.Agent.prototype._cacheSession;

function fail(error) {
  console.error(error.message, error.cause?.message);
  process.exitCode = 1;
}

const clients = {
  fetch: () => print().catch(fail),
  http: () => get(http),
  https: () => get(https),
  agent: () => get(https, new https.Agent({ keepAlive: true })),
  keepalive: () => get(https, Object.assign(new Impatient({ keepAlive: true }), { _sessionCache: { map: {}, list: [] } })),
  module: () => import("node:https").then(({ get: ask }) => ask(url, (response) => response.pipe(process.stdout))),
  worker: () => new Worker(`fetch("${url}").then((r) => r.text()).then((t) => process.stdout.write(t))`, { eval: true }),
};
clients[client]();
