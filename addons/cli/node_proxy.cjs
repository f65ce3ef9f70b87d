// Preloaded into Node.js so that http, https and fetch use the proxy of the environment. With NODE_USE_ENV_PROXY
// Node does so by itself from 22.21 and 24.5 on, but even there not for agents that clients make for themselves.
// Every connection goes through CONNECT.
"use strict";

const http = require("node:http");
const https = require("node:https");
const net = require("node:net");
const tls = require("node:tls");
const { Duplex } = require("node:stream");

// The dispatcher that the built-in fetch and every copy of undici share.
const DISPATCHER = Symbol.for("undici.globalDispatcher.1");

const variable = (name) => process.env[name.toLowerCase()] || process.env[name.toUpperCase()] || "";
const bare = (host) => host.toLowerCase().replace(/^\[|\]$/g, "");

function address(name) {
  try {
    const url = new URL(variable(name));
    return url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

const proxies = { "http:": address("http_proxy"), "https:": address("https_proxy") };
const exceptions = variable("no_proxy").toLowerCase().split(/[\s,]+/).filter(Boolean);

// Whether NO_PROXY names this host: itself or a domain it is in, with or without a port.
function excepted(host, port) {
  return exceptions.some((entry) => {
    if (entry === "*") return true;
    const literal = net.isIPv6(bare(entry));
    const [, name, only] = literal ? ["", bare(entry)] : /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry);
    return (!only || Number(only) === port) && (host === name || host.endsWith(`.${name}`));
  });
}

// The proxy for a connection, or null where it goes straight: excepted hosts, and the proxy itself.
function route(protocol, host, port) {
  const proxy = proxies[protocol];
  if (!proxy || excepted(host, port)) return null;
  return host === bare(proxy.hostname) && port === Number(proxy.port || 80) ? null : proxy;
}

// Calls back with (error) or (null, net.Socket) once the proxy has opened the way to host:port.
function tunnel(proxy, host, port, callback) {
  const target = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const headers = { host: target };
  if (proxy.username || proxy.password) {
    const credentials = decodeURIComponent(`${proxy.username}:${proxy.password}`);
    headers["proxy-authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`;
  }
  const connect = () => net.connect({ host: bare(proxy.hostname), port: Number(proxy.port || 80), noDelay: true });
  const request = http.request({ method: "CONNECT", path: target, headers, createConnection: connect });
  request.once("error", callback);
  request.once("connect", (response, socket, head) => {
    if (response.statusCode !== 200) {
      socket.destroy();
      callback(new Error(`the proxy answered CONNECT ${target} with status ${response.statusCode}`));
      return;
    }
    if (head.length > 0) socket.unshift(head);
    callback(null, socket);
  });
  request.end();
}

// TLS over a tunnel that is still being dug: some agents want their socket at once.
function secured(options, proxy, host, port, connect) {
  let socket = null;
  let referenced = true;
  const raw = new Duplex({
    construct(done) {
      tunnel(proxy, host, port, (error, opened) => {
        if (error) return done(error);
        socket = opened;
        if (!referenced) socket.unref();
        socket.on("data", (chunk) => raw.push(chunk) || socket.pause());
        socket.on("end", () => raw.push(null));
        socket.on("error", (problem) => raw.destroy(problem));
        socket.on("close", () => raw.destroy());
        if (raw.destroyed) socket.destroy();
        return done();
      });
    },
    read() {
      socket.resume();
    },
    write(chunk, _encoding, done) {
      socket.write(chunk, done);
    },
    final(done) {
      socket.end(done);
    },
    destroy(error, done) {
      socket?.destroy();
      done(error);
    },
  });
  const secure = connect({ ...options, socket: raw });
  // An idle connection must not keep the process alive, and only the inner socket can let go of it.
  secure.ref = () => {
    referenced = true;
    socket?.ref();
    return secure;
  };
  secure.unref = () => {
    referenced = false;
    socket?.unref();
    return secure;
  };
  return secure;
}

// Agents that clients make for themselves inherit this as well as the global ones.
function patch(module, protocol, standard) {
  const direct = module.Agent.prototype.createConnection;
  module.Agent.prototype.createConnection = function createConnection(options, callback, ...rest) {
    const able = this.options?.proxyEnv;
    const local = able || typeof options !== "object" || options.socket || options.socketPath;
    const host = local ? "" : bare(options.host || "localhost");
    const port = local ? 0 : Number(options.port || standard);
    const proxy = local ? null : route(protocol, host, port);
    if (!proxy) return direct.call(this, options, callback, ...rest);
    if (protocol === "https:") return secured(options, proxy, host, port, (more) => direct.call(this, more));
    return void tunnel(proxy, host, port, callback);
  };
}

function target(url) {
  const { protocol, hostname, port } = new URL(url);
  return [protocol, bare(hostname), Number(port || (protocol === "https:" ? 443 : 80))];
}

// The built-in fetch: its own dispatcher, with tunnels for connections.
function patchFetch() {
  // Until one of its classes is touched, fetch is not loaded and there is no dispatcher.
  const direct = globalThis.Response && globalThis[DISPATCHER];
  if (direct?.constructor.name !== "Agent") return;
  const connect = ({ protocol, hostname, port, servername }, callback) => {
    const [, host, number] = target(`${protocol}//${hostname}:${port || ""}`);
    tunnel(proxies[protocol], host, number, (error, socket) => {
      if (error || protocol !== "https:") return callback(error, socket);
      const name = servername || (net.isIP(host) ? "" : host);
      const secure = tls.connect({ socket, host, servername: name, ALPNProtocols: ["http/1.1"] });
      return secure.once("error", callback).once("secureConnect", () => {
        secure.off("error", callback);
        callback(null, secure);
      });
    });
  };
  globalThis[DISPATCHER] = new (class extends direct.constructor {
    dispatch(options, handler) {
      return route(...target(options.origin)) ? super.dispatch(options, handler) : direct.dispatch(options, handler);
    }
  })({ connect });
}

const able = "Bun" in globalThis || "Deno" in globalThis;
if (!able && (proxies["http:"] || proxies["https:"])) {
  patch(http, "http:", 80);
  patch(https, "https:", 443);
  patchFetch();
}
