/** The service's public API: relative to this page, with the key that was typed in, if any. */

const PATIENCE = 20; // times that a request is sent again, each time after `Retry-After`

/** The API's own error: its sentence, code and details. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.error);
    Object.assign(this, { status, code: body.code, details: body.details ?? [] });
  }
}

/** No answer came: the server has stopped, or the network is down. */
export class ServerGone extends Error {}

/** The API below `base`. `waiting(seconds, error)` hears of each wait; 0 seconds end it. */
export class Api {
  #key = ""; // in memory only: neither the URL nor the browser's storage gets it

  constructor(base, waiting) {
    this.base = base;
    this.waiting = waiting;
  }

  set key(text) {
    this.#key = text.trim();
  }

  get hasKey() {
    return this.#key !== "";
  }

  get(path, signal) {
    return this.#send("GET", path, undefined, signal);
  }

  post(path, body, signal) {
    return this.#send("POST", path, body, signal);
  }

  /** The absolute URL of a path such as "models". */
  url(path) {
    return new URL(path, this.base).href;
  }

  /** The answer's JSON. Raises ApiError, ServerGone, and AbortError once `signal` says so. */
  async #send(method, path, body, signal) {
    for (let sent = 1; ; sent += 1) {
      const response = await this.#fetch(method, path, body, signal);
      if (response.ok) return read(response, signal);
      const error = new ApiError(response.status, await described(response, signal));
      const seconds = Number(response.headers.get("retry-after"));
      if (![429, 503].includes(response.status) || !seconds || sent > PATIENCE) throw error;
      this.waiting(seconds, error);
      await pause(1000 * seconds, signal).finally(() => this.waiting(0, error));
    }
  }

  async #fetch(method, path, body, signal) {
    const headers = {};
    if (body !== undefined) headers["content-type"] = "application/json";
    if (this.#key) headers.authorization = `Bearer ${this.#key}`;
    try {
      return await fetch(this.url(path), {
        method, headers, signal, body: body && JSON.stringify(body), credentials: "same-origin",
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw new ServerGone("The server does not answer.", { cause: error });
    }
  }
}

async function read(response, signal) {
  try {
    const answer = await response.json();
    signal?.throwIfAborted();
    return answer;
  } catch (error) {
    signal?.throwIfAborted();
    throw new ServerGone("The answer was cut short.", { cause: error });
  }
}

/** The body of an error; a proxy in front may answer without one. */
async function described(response, signal) {
  const body = await response.json().catch(() => ({}));
  signal?.throwIfAborted();
  return body.error ? body : { error: `The server answered with status ${response.status}.` };
}

/** Wait; raises AbortError once the signal says so. */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
