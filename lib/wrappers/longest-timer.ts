/** What a timer can wait at most: one of more milliseconds is over at once. */
export const longestTimerMs: number = 2 ** 31 - 1;
