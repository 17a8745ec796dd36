"""Names, messages and paths of strangers in every view, in a real browser: nothing of them runs or is an element."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

TESTS = Path(__file__).parents[1]
BEGIN = f"""
import importlib.util
import numpy as np
import naslab as nl
from IPython.display import display, HTML
from naslab_widgets import Compare, Compose, Lab, FigureExplorer, RaceView, draw, figures
from naslab_widgets.deferred import Deferred

def load(name):
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), f"{TESTS}/{{name}}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

STRINGS = load("hostile_strings").STRINGS
tiny = load("widgets/conftest")
table, count = nl.benchmarks.NASBench201(), len(STRINGS)
"""
STILL = """
# Cards, a race before its first lap, waiting work and its errors, drawings
for number, text in enumerate(STRINGS):
    samples = {text: [1.0, 2.0, 3.0], "random": [0.5, 1.0, 1.5]}
    display(nl.card.card(samples, what=text, notes=[text], warnings=[text], baseline=text))

def fails(text):
    raise ValueError(text)

for text in STRINGS[::4]:
    later = Deferred(lambda text=text: fails(text), lambda: None)
    later.join()
    display(later, Deferred(lambda text=text: text, lambda: None))
race = nl.Race(
    {text: (lambda seed: nl.searchers.RandomSearch(table.space, seed=seed)) for text in STRINGS[:3]},
    lambda a: nl.estimators.Score(1.0, {STRINGS[1]: 1.0}), seeds=[0], budget=5, cost=STRINGS[1])
display(race)
space = tiny.TinySpace(operations=STRINGS)
graph = space.supergraph()
for number, (_, _, data) in enumerate(graph.edges(data=True)):
    data["op"] = STRINGS[number % count]
for number, node in enumerate(graph):
    graph.nodes[node]["label"] = STRINGS[number % count]
display(figures.cell(graph), figures.alphas(list(tiny.TinySearch(total=3, space=space)), space))
architecture = table.at(0)
scores = [nl.trainers.Score(group=text, architecture=architecture, seed=seed, test_accuracy=0.5 + seed / 10,
                            parameters=9) for text in STRINGS[:12] for seed in range(2)]
comparison = nl.trainers.Comparison(tuple(scores))
display(comparison, figures.comparison(comparison))
"""
RACED = """
racing = nl.Race({text: (lambda seed: nl.searchers.RandomSearch(table.space, seed=seed)) for text in STRINGS[:12]},
                 lambda a: nl.estimators.Score(float(len(str(a))), {STRINGS[2]: 1.0}), seeds=[0, 1], budget=6.0,
                 cost=STRINGS[2])
view = RaceView(racing)
view.run()
view
"""
TRIALS = """
told = iter(range(10**6))

def estimator(architecture):
    number = next(told)
    if number % 2:
        raise ValueError(STRINGS[number // 2 % count])
    return nl.estimators.Score(float(number), {text: 1.0 for text in STRINGS if text.strip()})

import warnings
warnings.simplefilter("ignore")
searching = nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=estimator, budget=2 * count)
lab = Lab(searching)
lab.run()
from naslab.events import Evaluated
event = searching.events[-2]
import dataclasses
for number, text in enumerate(STRINGS):
    step = event.step + 1 + number
    lab.view.take(dataclasses.replace(
        event, step=step, number=step, candidate=step, origin=text, message=text, status=text, fitness=None,
        figures={}, details={text: 0.5}, probabilities={text: np.array([0.5, 0.5])}))
    lab.view.note(step, text, error=True)
lab
"""
SUPERNET = """
tiny_search = tiny.TinySearch(total=20, space=space)
tiny_search.rates = {text: 0.1 for text in STRINGS[:6]}
type(tiny_search).knobs = property(lambda self: {name: tiny.Slider(value=value, low=0.01, high=1.0, description=name)
                                                 for name, value in self.rates.items()})
supernet = Lab(tiny_search)
supernet.run()
supernet
"""
COMPARED = """
compare = Compare({text: tiny.TinySearch(total=10, space=space) for text in STRINGS[:6]})
compare.run()
compare
"""
PLOTLY = """
race.run()
first = figures.race(race.bands("best"), x=STRINGS[4], y=STRINGS[5])
second = figures.ranking({text: np.random.default_rng(i).random(12) for i, text in enumerate(STRINGS[:20])},
                         np.arange(12.0), labels=(STRINGS * 2)[:12], resamples=5)
cells = [table.at(number) for number in range(10)]
third = figures.parallel(cells, table.space, {text: np.arange(10.0) for text in STRINGS[:8]})
studies = [FigureExplorer(each, cells, table.space) for each in (first, second, third)]
studies[0].open(1)
studies[1].open("<img src=x onerror=window.__pwned=1>")
display(*studies)
"""
HOSTILE = (
    "script, iframe, object, form:not(.naslab-branches-form), marquee, math, details[ontoggle], link, img[src='x'], "
    "style:not([id]), [onerror], [onload], [onmouseover], [onfocus], [onstart], [autofocus], "
    "a[href^='javascript'], a[href^='data:'], [src^='javascript'], [srcdoc]"
)
OURS = ".jp-OutputArea-output:not([data-mime-type='application/vnd.jupyter.stderr'])"


UNSEEN = [*range(9), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]


def test_nothing_of_them_runs_or_becomes_an_element(notebook):
    book = notebook(BEGIN, STILL, RACED, TRIALS, SUPERNET, COMPARED, PLOTLY)
    page = book.page
    page.evaluate(  # all cells stand in the page, seen or not
        "() => { const notebook = window.jupyterapp.shell.currentWidget.content;"
        " notebook.notebookConfig = { ...notebook.notebookConfig, windowingMode: 'none' }; }"
    )
    page.evaluate(
        """selectors => { window.__found = [];
            new MutationObserver(changes => { for (const change of changes) for (const node of change.addedNodes)
                if (node.nodeType === 1 && node.closest('.jp-OutputArea'))
                    for (const each of [node, ...node.querySelectorAll('*')])
                        if (each.matches(selectors)) window.__found.push(each.outerHTML.slice(0, 200)); })
            .observe(document.body, { childList: true, subtree: true }); }""",
        HOSTILE,
    )
    book.run_all()
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    for _ in range(600):  # until the last cell has come so far, or one has failed
        idle = page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.widgets.every("
            "cell => cell.node.querySelector('.jp-InputPrompt')?.textContent !== '[*]:')"
        )
        if idle or errors.count():
            break
        page.wait_for_timeout(250)
    counts = page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.executionCount || 0)"
    )
    assert counts[:7] == [1, 2, 3, 4, 5, 6, 7], "a cell has failed"
    assert errors.count() == 0, errors.all_inner_texts()
    for view in ("naslab-race", "naslab-fitness", "naslab-trials-table", "naslab-alpha", "naslab-lane", "naslab-study"):
        page.wait_for_selector(f".{view}", state="attached", timeout=30_000)
    page.wait_for_function("() => document.querySelectorAll('.naslab-study .js-plotly-plot .main-svg').length >= 3")
    assert errors.count() == 0, errors.all_inner_texts()
    for canvas in page.locator(".naslab canvas").all():  # whoever points at something sees a tooltip
        box = canvas.bounding_box()
        if box and box["width"] > 30 and box["height"] > 30:
            canvas.scroll_into_view_if_needed(timeout=5000)
            canvas.hover(position={"x": box["width"] / 2, "y": box["height"] / 2}, force=True, timeout=5000)
    assert page.evaluate("() => window.__pwned") is None
    assert page.evaluate("() => window.__found") == []
    assert page.locator(OURS).locator(HOSTILE).count() == 0
    texts = book.eventually(
        page.locator(OURS).all_text_contents, lambda found: sum("<script>" in text for text in found) > 10
    )  # they are all there, as text
    assert not any(chr(code) in text for text in texts for code in UNSEEN)
    assert "x" * 2000 not in "".join(texts), "a name is as long as one can read"
    book.screenshot("strangers")
