// Whether the gateway can be reached.

/** Tells the page of "lost" (no connection), "found" and "back". */
export const connection = new EventTarget();

/** How requests ask the user for a token. The page sets it (access.js). */
export const tokens = {
  /** @type {(problem: import("./api.js").Problem) => Promise<boolean>} Whether another token was entered. */
  ask: async () => false,
};

/** The connection was lost before the answer was complete. A write may have been applied. */
export class Lost extends Error {
  constructor() {
    super("The connection to the gateway was lost before its answer was complete.");
  }
}

/**
 * The result of a step of a request.
 * @template T
 * @param {Promise<T>} step
 * @returns {Promise<T>}
 */
export async function whole(step) {
  try {
    return await step;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    connection.dispatchEvent(new Event("lost"));
    throw new Lost();
  }
}
