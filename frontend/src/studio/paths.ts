/** Every page of the studio; the api answers exactly these with it (`STUDIO_PAGES`, api/routes/studio.py). */
export const paths = {
  home: "/",
  signIn: "/sign-in",
  signUp: "/sign-up",
  generate: "/generate",
  voices: "/voices",
  clone: "/clone",
  design: "/design",
  history: "/history",
  usage: "/usage",
  account: "/account",
} as const;
