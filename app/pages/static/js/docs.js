/** The page of the routes: Swagger UI over the OpenAPI document, with the key that is typed in. */

import { Api } from "./api.js";
import { h } from "./dom.js";
import { Notices } from "./notices.js";
import { dark, onTheme } from "./theme.js";

const base = new URL("./", document.baseURI);
const main = document.getElementById("routes");
const notices = new Notices(document.getElementById("notices"), use);
const api = new Api(base.href, (seconds, error) => notices.wait(seconds, error));
let key = ""; // in memory only

function use(typed) {
  key = api.key = typed.trim();
  load();
}

async function load() {
  try {
    draw(await api.get("openapi.json"));
    notices.clear();
  } catch (error) {
    notices.error(error, [], load);
  }
}

function draw(spec) {
  const place = h("div", { id: "swagger-ui" });
  main.replaceChildren(place);
  new MutationObserver(() => mend(place)).observe(place, { childList: true, subtree: true });
  // Below the prefix that this page has, whatever the server knows of it.
  const servers = [{ url: base.pathname.replace(/\/$/, "") }];
  window.SwaggerUIBundle({
    spec: { ...spec, servers },
    domNode: place,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0, // the schemas are folded
    displayRequestDuration: true,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    requestInterceptor(request) {
      if (key) request.headers.Authorization = `Bearer ${key}`;
      return request;
    },
  });
}

/** What Swagger UI leaves out for those who hear the page or use the keyboard. */
function mend(place) {
  const name = (selector, label) => {
    for (const each of place.querySelectorAll(`${selector}:not([aria-label])`)) {
      each.setAttribute("aria-label", label);
    }
  };
  name(":is(.examples-select, .response-control-examples) select", "Example");
  name("select", "Media type");
  name("textarea", "Request body");
  name(".copy-to-clipboard button", "Copy");
  for (const code of place.querySelectorAll("pre:is(.microlight, .curl):not([tabindex])")) code.tabIndex = 0;
  for (const link of place.querySelectorAll("button a[href]")) link.removeAttribute("href");
}

/** The colours of Swagger UI follow a class of the root. */
function paint() {
  document.documentElement.classList.toggle("dark-mode", dark());
}

onTheme(paint);
paint();
load();
