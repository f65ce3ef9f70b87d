// usage: node openai.mjs plain|stream|embed TEXT -> one line of JSON: {answer, headers, error}
import OpenAI from "openai";

const [form, text] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "sk-node-canary" });
const model = "gpt-node";
const messages = [{ role: "user", content: text }];

async function ask() {
  if (form === "embed") {
    const { data, response } = await client.embeddings.create({ model, input: [text, "second"] }).withResponse();
    return { answer: data, headers: Object.fromEntries(response.headers) };
  }
  if (form === "plain") {
    const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
    return { answer: data, headers: Object.fromEntries(response.headers) };
  }
  const call = client.chat.completions.create({ model, messages, stream: true });
  const { data, response } = await call.withResponse();
  const chunks = [];
  for await (const chunk of data) chunks.push(chunk);
  return { answer: chunks, headers: Object.fromEntries(response.headers) };
}

try {
  console.log(JSON.stringify(await ask()));
} catch (error) {
  const kind = error.constructor.name;
  console.log(JSON.stringify({ error: { kind, status: error.status, message: error.message } }));
}
