"""``preview.html``: what came of a preparation, to look through. Clips with their pictures and scores, sorted by any of
them and filtered; and what was rejected, by which stage and why.

One file that needs nothing else: pictures are data URIs, and a few lines of script sort and hide what is there. Without
scripts everything is shown.
"""

from __future__ import annotations

import base64
import html
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from preprocessing.manifest import ManifestRow, Reject, write_atomically

PREVIEW = "preview.html"

MOST_REJECTS = 5000
"""Shown; a page with a million rows opens in no browser, and all are in ``rejected.jsonl``."""


@dataclass(frozen=True)
class Card:
    """A clip's entry in the preview."""

    row: ManifestRow
    scores: dict[str, float]
    sheet: bytes
    """JPEG: see ``preview.draw_sheet``."""


def write_preview(folder: Path, cards: list[Card], rejects: list[Reject], num_clips: int) -> None:
    """Write ``preview.html`` into ``folder``. ``num_clips`` may exceed the number of cards: not all are shown."""
    stages = Counter(reject.stage for reject in rejects)
    shown = f"{num_clips} clips" + (f", the first {len(cards)} shown" if num_clips > len(cards) else "")
    by_stage = f" ({', '.join(f'{count} by {name}' for name, count in stages.most_common())})" if stages else ""
    first = f", the first {MOST_REJECTS} shown" if len(rejects) > MOST_REJECTS else ""
    page = _PAGE.format(
        style=_STYLE,
        script=_SCRIPT,
        summary=html.escape(f"{shown} · {len(rejects)} rejected{by_stage}{first}"),
        clips=num_clips,
        rejected=len(rejects),
        scores=_options(sorted({name for card in cards for name in card.scores})),
        splits=_options(sorted({card.row.split for card in cards})),
        stages=_options(sorted(stages)),
        cards="\n".join(map(_card, cards)),
        rejects="\n".join(map(_reject, rejects[:MOST_REJECTS])) or "<tr><td colspan=5>none</td></tr>",
    )
    write_atomically(folder / PREVIEW, page.encode())


def _options(names: Iterable[str]) -> str:
    return "".join(f"<option>{html.escape(name)}</option>" for name in names)


def _card(card: Card) -> str:
    row = card.row
    facts = (
        f"{row.num_frames} frames from {row.start_frame} · {row.fps:.4g} fps · {row.width}×{row.height} · "
        f"{row.num_people} {'person' if row.num_people == 1 else 'people'} · {row.split} · {row.licence}"
    )
    caption = f"<p>{html.escape(row.caption)}</p>" if row.caption else ""
    return (
        f'<article data-split="{html.escape(row.split)}" data-scores="{html.escape(json.dumps(_finite(card.scores)))}">'
        f"<h2>{html.escape(row.source)} <small>{html.escape(facts)}</small></h2>"
        f'<img alt="frames with mask and body" src="data:image/jpeg;base64,{base64.b64encode(card.sheet).decode()}">'
        f"{caption}<p>{_scores(card.scores)}</p><p><code>{html.escape(row.key)} · {html.escape(row.shard)}</code></p>"
        "</article>"
    )


def _reject(reject: Reject) -> str:
    frames = "whole" if reject.start_frame is None else f"{reject.start_frame}–{reject.end_frame}"
    columns = "".join(f"<td>{html.escape(cell)}</td>" for cell in (reject.source, frames, reject.stage, reject.reason))
    return f'<tr data-stage="{html.escape(reject.stage)}">{columns}<td>{_scores(reject.scores)}</td></tr>'


def _finite(scores: dict[str, float]) -> dict[str, float]:
    """JSON has no others."""
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _scores(scores: dict[str, float]) -> str:
    return " ".join(f"<span>{html.escape(name)} <b>{value:.4g}</b></span>" for name, value in sorted(scores.items()))


_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1280px; margin: 24px auto; padding: 0 16px; color: #1c1c1e; }
h1 { font-size: 22px; margin: 0; }
h2 { font-size: 15px; margin: 0 0 6px; } small { color: #777; font-weight: 400; }
nav { margin: 14px 0; border-bottom: 1px solid #d1d1d6; }
nav button { font: inherit; border: 0; background: none; padding: 6px 14px; cursor: pointer; color: #777; }
nav button.chosen { color: #1c1c1e; border-bottom: 2px solid #2464a8; }
form { display: flex; flex-wrap: wrap; gap: 6px 14px; margin: 12px 0; }
input, select { font: inherit; padding: 2px 6px; } input[type=number] { width: 90px; }
article { margin: 24px 0; } img { width: 100%; border-radius: 6px; display: block; }
p { margin: 6px 0 0; } code { color: #777; font-size: 12px; }
span { background: #f1f1f4; border-radius: 4px; padding: 1px 6px; margin-right: 2px; white-space: nowrap;
font-size: 12px; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: 5px 8px;
border-bottom: 1px solid #e5e5ea; } td:nth-child(2) { white-space: nowrap; } th { cursor: pointer; }
[hidden] { display: none !important; }
"""

_SCRIPT = """
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const holds = (element, words) => element.textContent.toLowerCase().includes(words.value.toLowerCase());
const count = (form, shown, total) => form.querySelector('output').value = `${shown} of ${total} shown`;

const tabs = all('nav button');
const choose = name => {
  tabs.forEach(tab => tab.classList.toggle('chosen', tab.dataset.tab === name));
  all('main > section').forEach(section => section.hidden = section.id !== name);
};
tabs.forEach(tab => tab.onclick = () => { location.hash = tab.dataset.tab; });
window.onhashchange = () => choose(location.hash === '#rejected' ? 'rejected' : 'clips');
window.onhashchange();

const clips = document.querySelector('#clips'), clipForm = clips.querySelector('form');
const cards = all('article', clips);
const score = (card, name) => JSON.parse(card.dataset.scores)[name];
clipForm.oninput = () => {
  const { words, split, by, order, least, most } = clipForm.elements;
  order.disabled = least.disabled = most.disabled = !by.value;
  const within = card => {
    const value = score(card, by.value);
    return (least.value === '' || value >= +least.value) && (most.value === '' || value <= +most.value);
  };
  cards.forEach(card => card.hidden =
    !(holds(card, words) && (!split.value || card.dataset.split === split.value) && (!by.value || within(card))));
  const sign = order.value === 'rising' ? 1 : -1;
  const rank = card => score(card, by.value) ?? sign * Infinity;
  const sorted = by.value ? [...cards].sort((a, b) => sign * (rank(a) - rank(b))) : cards;
  clips.append(...sorted);
  count(clipForm, cards.filter(card => !card.hidden).length, cards.length);
};
clipForm.oninput();

const rejected = document.querySelector('#rejected'), rejectForm = rejected.querySelector('form');
const rows = all('tbody tr', rejected);
rejectForm.oninput = () => {
  const { words, stage } = rejectForm.elements;
  rows.forEach(row => row.hidden = !(holds(row, words) && (!stage.value || row.dataset.stage === stage.value)));
  count(rejectForm, rows.filter(row => !row.hidden).length, rows.length);
};
rejectForm.oninput();
all('th', rejected).forEach((head, column) => head.onclick = () => {
  head.dataset.order = -(head.dataset.order ?? -1);
  const text = row => row.children[column]?.textContent ?? '';
  rows.sort((a, b) => head.dataset.order * text(a).localeCompare(text(b), undefined, { numeric: true }));
  rejected.querySelector('tbody').append(...rows);
});
all('form').forEach(form => form.onsubmit = event => event.preventDefault());
"""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Clips</title>
<style>{style}</style>
<h1>Clips</h1><p>{summary}</p>
<nav><button data-tab="clips">Clips ({clips})</button><button data-tab="rejected">Rejected ({rejected})</button></nav>
<main>
<section id="clips">
<p><small>Above: the mask of each person. Below: the fitted body.
A red frame marks a person who was not found there.</small></p>
<form>
<label>containing <input name="words" type="search"></label>
<label>split <select name="split"><option value="">all</option>{splits}</select></label>
<label>by <select name="by"><option value="">the order of the sources</option>{scores}</select></label>
<label><select name="order"><option>rising</option><option>falling</option></select></label>
<label>from <input name="least" type="number" step="any"></label>
<label>to <input name="most" type="number" step="any"></label>
<output></output>
</form>
{cards}
</section>
<section id="rejected">
<form>
<label>containing <input name="words" type="search"></label>
<label>stage <select name="stage"><option value="">all</option>{stages}</select></label>
<output></output>
</form>
<table><thead><tr><th>source</th><th>frames</th><th>stage</th><th>reason</th><th>scores</th></tr></thead><tbody>
{rejects}
</tbody></table>
</section>
</main>
<script>{script}</script></html>
"""
