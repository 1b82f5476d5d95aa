// Calls of the API. Where it answers 401, the token is asked for once, and the call is made again.

import { say } from "./words.js";

const dialog = document.getElementById("sign-in");
let signingIn = null;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// Errors are problem details (RFC 9457).
export async function problemOf(response) {
  const type = response.headers.get("Content-Type") || "";
  if (!type.startsWith("application/problem+json")) return `${response.status} ${response.statusText}`;
  const problem = await response.json();
  return problem.detail || problem.title;
}

export async function call(path, options = {}) {
  for (;;) {
    const response = await fetch(path, { cache: "no-store", ...options });
    if (response.ok) return response;
    const detail = await problemOf(response);
    if (response.status !== 401) throw new Refused(response.status, detail);
    await signedIn();
  }
}

export const told = async (path) => (await call(path)).json();

export const end = async (kind, id) => {
  try {
    await call(`/api/v1/${kind}s/${encodeURIComponent(id)}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) throw error; // it has gone by itself
  }
};

function signedIn() {
  signingIn ??= new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const complaint = dialog.querySelector(".error");
    const stay = () => dialog.showModal(); // after Escape: there is nothing to see without the token
    const submit = async (event) => {
      event.preventDefault();
      try {
        const headers = { Authorization: `Bearer ${form.elements.token.value}` };
        const response = await fetch("/api/v1/session", { method: "POST", headers });
        if (!response.ok) {
          complaint.textContent = response.status === 401 ? say("wrong_token") : await problemOf(response);
          return;
        }
      } catch (error) {
        complaint.textContent = error instanceof TypeError ? say("lost") : String(error);
        return;
      }
      form.reset();
      complaint.textContent = "";
      form.removeEventListener("submit", submit);
      dialog.removeEventListener("close", stay);
      dialog.close();
      signingIn = null;
      resolve();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", stay);
    dialog.showModal();
  });
  return signingIn;
}

const confirmation = document.getElementById("confirm");

let answer = () => {};

function settle(meant) {
  answer(meant);
  answer = () => {};
}

// A dialog's "close" comes a task later than its closing; the next question may be open by then.
confirmation.addEventListener("close", () => {
  if (!confirmation.open) settle(confirmation.returnValue === "yes");
});

// Ask before something is ended; resolves to whether it is meant.
export function confirmed(question) {
  settle(false);
  confirmation.querySelector("#question").textContent = question;
  confirmation.returnValue = "";
  confirmation.showModal();
  return new Promise((resolve) => {
    answer = resolve;
  });
}
