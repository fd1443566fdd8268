/** A request as text to paste: curl and Python. A key is never in it. */

const KEY = "$MCD_API_KEY";

/** The command for a shell; without a body, it is a GET. */
export function curl(url, body, withKey) {
  const data = body && JSON.stringify(body).replaceAll("'", "'\\''");
  const key = withKey ? ` -H "authorization: Bearer ${KEY}"` : "";
  return `curl -s '${url}'${key}${body ? ` -H 'content-type: application/json' -d '${data}'` : ""}`;
}

/** The lines of Python, with the package httpx. */
export function python(url, body, withKey) {
  const lines = ["import httpx", ""];
  if (withKey) lines.unshift("import os");
  const json = body ? [`    json=${literal(body)},`] : [];
  const key = withKey
    ? ['    headers={"authorization": "Bearer " + os.environ["MCD_API_KEY"]},'] : [];
  return [...lines,
    `response = httpx.${body ? "post" : "get"}(`, `    ${JSON.stringify(url)},`, ...json, ...key,
    "    timeout=60,", ")", "response.raise_for_status()", "print(response.json())", ""].join("\n");
}

/** A value of JSON as Python writes it. */
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const items = Object.entries(value);
  return `{${items.map(([name, each]) => `${JSON.stringify(name)}: ${literal(each)}`).join(", ")}}`;
}
