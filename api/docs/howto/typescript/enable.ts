// Settings → Authentication Methods → SMS → Enable, end to end against a simulated modem: the code is read from the
// simulated phone, where a portal asks the client for it.
//
//   OTPOST_URL=http://127.0.0.1:8475 OTPOST_KEY=otp_live_… npm start -- client-4711 +447700900123
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./otpost.js";

type Problem = components["schemas"]["Problem"];
type Account = components["schemas"]["Account"];

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
}

const otpost = createClient<paths>({
  baseUrl: setting("OTPOST_URL"),
  headers: { Authorization: `Bearer ${setting("OTPOST_KEY")}` },
});

/** A refusal: application/problem+json (RFC 9457), whose code never changes. */
class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.code}: ${problem.detail ?? problem.title}`);
  }
}

/** The answer, or the refusal thrown. */
function must<T>(answer: { data?: T; error?: Problem }): T {
  if (answer.error) throw new Refusal(answer.error);
  return answer.data as T;
}

/** Another name for each request: repeated with the same one, it gets the same answer and sends nothing more. */
const once = () => ({ "Idempotency-Key": randomUUID() });

/** What came to a simulated phone; the answer is held until there is something. */
async function codeOn(phone: string): Promise<string> {
  const { messages } = must(
    await otpost.GET("/v1/simulator/messages", { params: { query: { to: phone, wait: "30s" } } }),
  );
  const code = messages?.[0]?.code;
  if (!code) throw new Error(`no code came to ${phone}`);
  return code;
}

async function enable(account: string, phone: string, pin: string): Promise<Account> {
  const path = { account };
  must(await otpost.PUT("/v1/accounts/{account}/pin", { params: { path }, body: { pin } }));

  const challenge = must(
    await otpost.POST("/v1/accounts/{account}/sms/enable", {
      params: { path, header: once() },
      body: { phone, client_ip: "198.51.100.7" },
    }),
  );
  console.log(`A code is on its way to ${challenge.phone}, valid until ${challenge.expires_at}.`);

  const code = await codeOn(phone);
  const verify = (code: string) =>
    otpost.POST("/v1/accounts/{account}/sms/enable/verify", {
      params: { path, header: once() },
      body: { code, pin },
    });

  const { error } = await verify(code === "000000" ? "000001" : "000000"); // a client who mistypes
  if (error?.code !== "verification-failed") throw new Error("a wrong code was not refused");
  console.log(`The code or the PIN is wrong; ${error.attempts_left} attempts left.`);

  return must(await verify(code));
}

const [account, phone] = process.argv.slice(2);
if (!account || !phone) {
  console.error("usage: npm start -- <account> <phone>");
  process.exit(2);
}
try {
  const state = await enable(account, phone, "739154");
  console.log(`SMS codes are ${state.identities.sms.status}; the grade of ${account} is ${state.grade}.`);
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure);
  process.exit(1);
}
