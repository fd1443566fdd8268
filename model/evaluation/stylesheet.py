"""The style sheet of the report, light and dark."""

STYLE = """
:root {
  --paper: #f6f7f9; --card: #fff; --ink: #16202c; --soft: #556372; --rule: #dfe4ea;
  --main: #1763c6; --second: #d1600d; --guide: #7b8896; --band: #1763c61c; --note: #fff4dc;
  --note-rule: #d9a441;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #10151c; --card: #181f29; --ink: #e6ebf1; --soft: #9dabba; --rule: #2b3644;
    --main: #6cb0ff; --second: #ff9f55; --guide: #8593a3; --band: #6cb0ff26; --note: #2c2515;
    --note-rule: #a67c2e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
.kind { margin: 0; color: var(--soft); }
h1 { margin: 0 0 1.25rem; font-size: 2.4rem; line-height: 1.15; letter-spacing: -.02em;
  overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 1rem; font-size: 1.5rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h3 { margin: 0 0 .5rem; font-size: 1.05rem; }
section > h3 { margin-top: 2rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: .5rem 2rem;
  margin: 0; }
dl .long { grid-column: 1 / -1; }
dl div { display: flex; gap: .75rem; }
dt { flex: 0 0 5.5rem; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.notes { margin: 1.5rem 0 0; padding: .75rem 1rem .75rem 2rem; background: var(--note);
  border-left: 4px solid var(--note-rule); border-radius: 6px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem;
  margin-bottom: 1rem; }
.tile, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
.tile { padding: .9rem 1.1rem; }
.tile span, .tile small { display: block; color: var(--soft); font-size: .875rem; }
.tile strong { display: block; font-size: 1.75rem; line-height: 1.3; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
  gap: 1rem; }
figure { margin: 0; padding: 1.1rem 1.2rem; min-width: 0; }
figcaption { margin-top: .6rem; }
figcaption, details { color: var(--soft); font-size: .9rem; }
details { margin-top: .6rem; }
summary { cursor: pointer; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .4rem .75rem .4rem 0; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
.goal { white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
thead th { color: var(--soft); font-weight: 500; font-size: .9rem; }
.number, .numbers td { font-variant-numeric: tabular-nums; }
.number { text-align: right; padding-right: 1.5rem; white-space: nowrap; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; font-size: 12.5px; }
svg text { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.name, svg text.legend { fill: var(--ink); }
.grid { stroke: var(--rule); }
.axis, .tick { stroke: var(--guide); }
.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
.line.main, .line.main path { stroke: var(--main); }
.line.second, .line.second path { stroke: var(--second); }
.line.guide, .line.guide path { stroke: var(--guide); stroke-width: 1.5; stroke-dasharray: 5 5; }
.line.faint { stroke: var(--main); stroke-width: 1.25; stroke-opacity: .6; }
.area.guide { fill: var(--band); }
.dots.main { fill: var(--main); fill-opacity: .85; }
.dots.second { fill: var(--second); }
.dots.faint { fill: var(--main); fill-opacity: .4; }
.bars.main { fill: var(--main); }
.bars.second { fill: var(--second); }
@media print { body { background: none; } figure, .tile { break-inside: avoid; } }
"""
