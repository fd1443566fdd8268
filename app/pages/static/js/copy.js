/** A request as text to paste: curl and Python. A key is never in it. */

const KEY = "$MCD_API_KEY";

/** The command for a shell. */
export function curl(url, body, withKey) {
  const data = JSON.stringify(body).replaceAll("'", "'\\''");
  const key = withKey ? ` -H "authorization: Bearer ${KEY}"` : "";
  return `curl -s '${url}' -H 'content-type: application/json'${key} -d '${data}'`;
}

/** The lines of Python, with the package httpx. */
export function python(url, body, withKey) {
  const lines = ["import httpx", ""];
  if (withKey) lines.unshift("import os");
  const key = withKey
    ? '\n    headers={"authorization": "Bearer " + os.environ["MCD_API_KEY"]},' : "";
  return [...lines,
    "response = httpx.post(", `    ${JSON.stringify(url)},`, `    json=${literal(body)},${key}`,
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
