// usage: node fetch.mjs URL BODY -> one line of JSON: {status, headers, text}

const [url, body] = process.argv.slice(2);
const headers = { "content-type": "application/json", authorization: "Bearer sk-node-canary" };
const response = await fetch(url, { method: "POST", headers, body });
const text = await response.text();
console.log(JSON.stringify({ status: response.status, headers: Object.fromEntries(response.headers), text }));
