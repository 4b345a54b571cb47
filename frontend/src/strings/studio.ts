/** The studio's frame, and what several of its pages say. Each page has its own file beside this one. */
export const studio = {
  title: "Understudy",
  navigation: "Studio",
  pages: {
    generate: "Speak",
    voices: "Voices",
    clone: "Clone",
    design: "Design",
    history: "History",
    usage: "Usage",
    account: "Account",
  },
  signOut: "Sign out",
  session: {
    ended: "Your session has ended",
    endedHelp: "Sign in again. What you wrote on this page is still here.",
    other: "Use another account",
    replaced: "Somebody else is signed in",
    replacedBy: (email: string) =>
      `${email} signed in to this browser in another tab, so this tab can do nothing more for you.`,
    replacedHelp: (email: string) =>
      `What you wrote here is kept on this device for ${email} and is there again when you sign in.`,
    goOn: "Go on with that account",
  },
} as const;
