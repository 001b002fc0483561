"""How a report looks: light and dark, on a screen of any width, with the fonts that are there."""

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1c2430; --soft: #5b6675; --paper: #f6f7f9; --card: #ffffff; --line: #dde2e9;
  --accent: #0072b2; --accent-soft: #e3f0f9; --good: #e8f5ee; --source: #7a7a7a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ee; --soft: #9aa5b4; --paper: #12161c; --card: #1b2129; --line: #303945;
    --accent: #5fb3e6; --accent-soft: #173043; --good: #16302a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
p { max-width: 46rem; margin: .5rem 0; }
.soft, figcaption { color: var(--soft); }
.advice {
  background: var(--accent-soft); border-left: .35rem solid var(--accent); border-radius: .5rem;
  padding: 1rem 1.25rem; margin: 1.5rem 0;
}
.advice h2 { margin: 0 0 .4rem; font-size: 1.4rem; line-height: 1.25; }
.advice ul { margin: .4rem 0 0; padding-left: 1.1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; }
.tile, .frame, .plot {
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1rem;
}
.tile b { display: block; font-size: 1.45rem; line-height: 1.2; }
.tile span { color: var(--soft); font-size: .85rem; }
.scroll {
  overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; margin: .8rem 0;
}
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .92rem; }
th, td { padding: .45rem .8rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody th { font-weight: 500; }
tr > :first-child { position: sticky; left: 0; background: var(--card); }
tr.marked > * { background: var(--accent-soft); }
td { font-variant-numeric: tabular-nums; }
td b { color: var(--accent); }
.frame { margin: .9rem 0; }
.views { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 1rem; }
.crops { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: .75rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .82rem; line-height: 1.35; margin-top: .35rem; }
figcaption b { color: var(--ink); }
img { display: block; width: 100%; height: auto; border-radius: .25rem; }
img.crop { image-rendering: pixelated; aspect-ratio: 1; object-fit: contain; }
.thumbnail { position: relative; align-self: start; }
.thumbnail span { position: absolute; display: block; }
.thumbnail .box { border: 1.5px solid #ff4d4d; }
.thumbnail .view { border: 1.5px dashed #ffffff; box-shadow: 0 0 0 1px #0008; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .9rem; }
.plot h3 { text-align: center; }
.plot svg { display: block; width: 100%; height: auto; max-width: 34rem; margin: 0 auto; }
.plot text { fill: currentColor; font-family: inherit !important; }
.bars { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .9rem 1rem; margin: .8rem 0; }
.bar { display: grid; grid-template-columns: 7.5rem 1fr 5rem; gap: .75rem; align-items: center; }
.bar + .bar { margin-top: .4rem; }
.bar > span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.track { display: flex; height: 1.1rem; }
.track i { display: block; min-width: 1px; }
.send { background: var(--accent); } .decode { background: #d55e00; }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem;
  vertical-align: -.08rem; margin: 0 .35rem 0 0; }
.key span { margin-right: 1.2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 50rem) {
  main { padding: 1.25rem .9rem 3rem; }
  .views { grid-template-columns: minmax(0, 1fr); }
  .crops { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .6rem; }
  .bar { grid-template-columns: 6rem 1fr 4.2rem; gap: .5rem; font-size: .9rem; }
}
"""
