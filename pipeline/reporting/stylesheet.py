"""The page's style sheet: for a desktop, a phone and paper. It uses system fonts and loads nothing."""

CSS = """
:root {
  --ink: #1c2330; --muted: #5b6472; --line: #dde1e7; --soft: #f5f7f9; --link: #0b3c5d;
  --good: #0a6848; --good-soft: #e4f4ee; --warn: #8a5200; --warn-soft: #fdf1dd;
  --bad: #a3300a; --bad-soft: #fdebe4; --calm: #3b4657; --calm-soft: #edf0f4;
  --text: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", sans-serif;
  --code: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink); font: 1rem/1.55 var(--text); }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
header p { max-width: 44rem; margin: .5rem 0; overflow-wrap: anywhere; }
header p.narrative { font-size: 1.1em; font-weight: 500; }
h1 { margin: 0 0 1rem; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { margin: 0 0 .35rem; font-size: 1.2rem; line-height: 1.3; letter-spacing: -.005em; }
h3 { margin: 1.4rem 0 .4rem; font-size: 1rem; }
section { margin-top: 2.5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
section > p { max-width: 44rem; margin: 0 0 .75rem; color: var(--muted); font-size: .925rem; }
code { font-family: var(--code); font-size: .875em; overflow-wrap: anywhere; }

.badges { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0 0 1.1rem; }
.badge { display: inline-flex; align-items: center; gap: .5rem; padding: .4rem .8rem .4rem .65rem; border: 1px solid;
  border-radius: .4rem; font-weight: 600; line-height: 1.3; }
.badge svg { width: 1.15em; height: 1.15em; flex: none; }
.badge.minor { font-weight: 500; }
.good { color: var(--good); background: var(--good-soft); }
.warn { color: var(--warn); background: var(--warn-soft); }
.bad { color: var(--bad); background: var(--bad-soft); }
.calm { color: var(--calm); background: var(--calm-soft); }

.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-size: .925rem; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem 1rem .5rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-size: .82rem; font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 600; }
td.number { white-space: nowrap; }
th small, td small { display: block; color: var(--muted); font-size: .82rem; font-weight: 400; }
.tasks td:last-child { min-width: 9rem; }
.events td:last-child, .incidents td:last-child, .anomalies td:last-child { min-width: 12rem; overflow-wrap: anywhere; }
.events td, .events th { padding-top: .25rem; padding-bottom: .25rem; }
.incidents td:nth-child(3) { min-width: 12rem; }
.anomalies td:nth-child(2) { white-space: nowrap; }
.anomalies td:nth-child(3) { min-width: 8rem; }
.context td { width: 25%; }
.context th small, .context td small { white-space: normal; }
.faults td, .faults th, .days td, .days th, .shifts td, .shifts th { padding-top: .25rem; padding-bottom: .25rem; }
section > p.after { margin: .75rem 0 0; }
.config th, .layers th, .faults th, .days th, .shifts th { font-weight: 400; }
.config td, .config th, .layers td, .layers th { padding-top: .25rem; padding-bottom: .25rem; }
.config td { overflow-wrap: anywhere; }
.bar { display: inline-block; width: calc(100% - 4rem); max-width: 13rem; height: .6rem; margin-right: .6rem;
  border-radius: .3rem; background: #e3e7ec; overflow: hidden; }
.bar span { display: block; height: 100%; background: #3d8fc4; }
.share { white-space: nowrap; }

figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: var(--text) !important; }
.narrow { display: none; }
.panels { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem 1.25rem; margin-top: .75rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0 0 .5rem; padding: 0; list-style: none;
  color: var(--muted); font-size: .875rem; }
.legend li { display: inline-flex; align-items: center; gap: .45rem; }
.legend svg { width: 1.9rem; height: .75rem; flex: none; }

details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--link); font-weight: 500; }
summary:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }
details > .scroll { margin-top: .5rem; }
footer { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--muted);
  font-size: .85rem; overflow-wrap: anywhere; }
footer p { margin: 0 0 .25rem; }

@media screen and (max-width: 40rem) {
  main { padding: 1.5rem 1rem 2rem; }
  h1 { font-size: 1.5rem; }
  .wide { display: none; }
  .narrow { display: block; }
  .panels { grid-template-columns: minmax(0, 1fr); }
  table { font-size: .875rem; }
  th, td { padding-right: .75rem; }
  .tasks { font-size: .8rem; }
  .tasks th, .tasks td { padding-right: .45rem; }
  .tasks td:last-child { min-width: 4.2rem; }
  .tasks .bar { display: block; width: 100%; margin: .35rem 0 .2rem; }
  .share { white-space: normal; }
  .events thead, .incidents thead, .anomalies thead { display: none; }
  .events tr, .incidents tr, .anomalies tr { display: flex; flex-wrap: wrap; gap: .1rem .9rem; padding: .5rem 0;
    border-bottom: 1px solid var(--line); }
  .events td, .incidents td, .anomalies td { padding: 0; border: 0; }
  .events td:last-child, .anomalies td:last-child, .incidents td:nth-child(n + 3) { flex: 0 0 100%; }
  .incidents td:nth-child(1)::before { content: "No. "; }
  .events td:nth-child(1)::before, .incidents td:nth-child(2)::before { content: "step "; }
  .context, .shifts { font-size: .78rem; }
  .context th, .context td, .shifts th, .shifts td { padding-right: .4rem; }
  .context th, .context td { overflow-wrap: anywhere; }
  .context td.number { white-space: normal; }
}
@media print {
  @page { margin: 16mm 14mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  section { margin-top: 1.5rem; padding-top: .75rem; }
  h2, h3, .legend, section > p { break-after: avoid; }
  figure, tr, .badges { break-inside: avoid; }
  .badge, .bar, .bar span { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; }
  summary { color: var(--ink); list-style: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
