/** Signing in to the console. */
export const operator = {
  title: "Operations",
  about: "What this service notices, decides and does about speech that fails.",
  key: "Operator's key",
  keyHint: "It stays in this tab, and goes with it.",
  show: "Show the key",
  hide: "Hide the key",
  signIn: "Open the console",
  missing: "Paste your key first.",
  shape: "A key of a person begins with ugk_. Was all of it pasted?",
  wrong: "The guard does not know this key. It is mistyped, or it was revoked.",
  refused: "The guard takes your key no more: it was revoked. Sign in with another one.",
  unreachable: "The guard does not answer. Is it running? This page keeps what you pasted; try again.",
  howTitle: "No key yet?",
  how: "Whoever has a shell on the service makes one, in your name, and sees it once:",
  command: "understudy guard-keys create NAME",
  copy: "Copy the command",
  machine:
    "The machine's own key, in HOME/run/operator.token, opens the console too: it may look, but it approves nothing, because it is nobody's word.",
  openTitle: "Is it up at all?",
  health: {
    asking: "Asking the guard.",
    ok: "The guard answers and looks.",
    stuck: "The guard answers, but it has completed no look for a while.",
    away: "The guard does not answer.",
  },
} as const;
