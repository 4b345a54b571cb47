/** The player at the page's foot. */
export const player = {
  region: "Player",
  play: "Play",
  pause: "Pause",
  position: "Position",
  at: (position: string, end: string) => `${position} of ${end}`,
  rate: "Speed",
  rates: (rate: number) => `${rate}×`,
  download: "Download",
  close: "Close the player",
  live: "Live",
  waiting: "Waiting for more",
  loading: "Loading",
  cut: "Incomplete",
  undecodable: "This could not be played. Press play to try again.",
  unavailable: "The audio could not be loaded. Press play to try again.",
} as const;
