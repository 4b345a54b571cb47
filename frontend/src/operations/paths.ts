/** The guard serves the console under this path; its own API has the root. */
export const BASE = "/operations";

export const paths = {
  overview: "/",
  incidents: "/incidents",
  incident: (id: string) => `/incidents/${encodeURIComponent(id)}`,
  cutover: "/cutover",
  playbook: "/playbook",
  drills: "/drills",
  safekeeping: "/known-good",
  audit: "/audit",
} as const;
