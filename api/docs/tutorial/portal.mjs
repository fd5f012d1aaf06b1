// Settings → Authentication Methods → SMS → Enable, as a portal's backend does it.
//
//   export OTPOST_URL=http://127.0.0.1:8475 OTPOST_KEY=otp_live_…
//   node portal.mjs client-4711 +447700900123
//
// Node 18 or later, and no package.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";

// A refusal: application/problem+json (RFC 9457), whose code never changes.
class Refusal extends Error {
  constructor(problem) {
    super(`${problem.code}: ${problem.detail ?? problem.title}`);
    this.problem = problem;
  }
}

// One request. With an idempotency key it may be repeated: the second time it only gets the first answer again.
async function call(method, path, body, key) {
  const headers = { Authorization: `Bearer ${process.env.OTPOST_KEY}`, "Content-Type": "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  for (let attempt = 1; ; attempt++) {
    let answer, text;
    try {
      answer = await fetch(process.env.OTPOST_URL + path, {
        method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(15_000),
      });
      text = await answer.text();
    } catch (failure) {
      if (key && attempt < 3) continue;
      throw new Error("no answer from Otpost", { cause: failure });
    }
    const value = text ? JSON.parse(text) : {};
    if (!answer.ok) throw new Refusal(value);
    return value;
  }
}

// What the client types; in a portal it comes from a form.
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(question) {
  process.stdout.write(question);
  const { value, done } = await lines.next();
  if (done) throw new Error("no input");
  return value.trim();
}

async function enable(account, phone) {
  const path = `/v1/accounts/${encodeURIComponent(account)}`;
  const pin = await ask("Choose a PIN: ");
  await call("PUT", `${path}/pin`, { pin });

  const challenge = await call("POST", `${path}/sms/enable`, { phone, client_ip: "198.51.100.7" }, randomUUID());
  console.log(`A code is on its way to ${challenge.phone}, valid until ${challenge.expires_at}.`);

  for (;;) {
    const code = await ask("Code: ");
    try {
      const state = await call("POST", `${path}/sms/enable/verify`, { code, pin }, randomUUID());
      console.log(`SMS codes are on; the grade of ${account} is ${state.grade}.`);
      return;
    } catch (failure) {
      if (failure.problem?.code !== "verification-failed") throw failure;
      console.log(`The code or the PIN is wrong; ${failure.problem.attempts_left} attempts left.`);
    }
  }
}

if (process.argv.length !== 4) {
  console.error("usage: node portal.mjs <account> <phone>");
  process.exit(2);
}
try {
  await enable(process.argv[2], process.argv[3]);
  process.exit(0);
} catch (failure) {
  console.error(failure.message);
  process.exit(1);
}
