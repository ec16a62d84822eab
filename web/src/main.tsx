import "./ui/base.css";

import { setNonce } from "get-nonce";
import { createRoot } from "react-dom/client";

import { App } from "./app";
import type { Session } from "./shell/session";
import { current, login, tokenOfLink } from "./shell/session";
import { nonce } from "./ui/nonce";

// The libraries behind dialogs make a style element; the policy asks for its nonce.
setNonce(nonce);

async function begin(): Promise<{ session: Session | null; failed?: unknown }> {
  const token = tokenOfLink();
  try {
    return { session: token ? await login(token) : await current() };
  } catch (failed) {
    return { session: null, failed };
  }
}

// The link of a new start, opened in a tab that is open already.
window.addEventListener("hashchange", () => {
  if (window.location.hash.startsWith("#token=")) {
    const token = tokenOfLink();
    if (token) void login(token).then(() => window.location.reload());
  }
});

const place = document.getElementById("root");
if (place) void begin().then((state) => createRoot(place).render(<App {...state} />));
