"""Quality of a supernet's ranking while it trains: how well shared weights order architectures of a known table.

Every `every` steps, some architectures of a table are scored with the current shared weights, and their order is
compared with the true one by rank correlation (Kendall's tau, Spearman's rho), overlap and regret of the top k. See Yu
et al. 2020, "Evaluating the Search Phase of Neural Architecture Search", https://arxiv.org/abs/1902.08142.

The settings are part of the run (`run.json`), and the results events, in one transaction with their step. The ranking
changes nothing in the search.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from naslab import estimators
from naslab.analysis import GroundTruth, Ranking
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError, whole
from naslab.estimators import Table
from naslab.events import Figure, Ranked
from naslab.networks.batch_norm import known_batch_norm
from naslab.registry import described
from naslab.searchers import SupernetSearcher


class LiveRanking:
    """Scores a fixed sample of a table's architectures after the first step, every so many steps, and the last.

    Args:
        table: the true values: a benchmark, or `nl.estimators.Table(benchmark, metric, epochs=...)`.
        sample: number of architectures, drawn at random; or the architectures, or their numbers in the table.
        every: steps from one ranking to the next.
        batch_norm: statistics that normalise a child: "batch", "kept" or "recalibrated" (`searcher.score`).
        images: number of validation examples that each architecture is scored on.
        top: k of the overlap and the regret, which look at the k best by score.
        resamples: number of bootstrap resamples behind the intervals.
        seed: seed of the sample and the bootstrap.
    """

    def __init__(
        self,
        table: Benchmark | Table,
        sample: int | Iterable[int | Architecture] = 60,
        *,
        every: int = 50,
        batch_norm: str = "batch",
        images: int = 256,
        top: int = 10,
        resamples: int = 200,
        seed: int = 0,
    ) -> None:
        self.known = GroundTruth.of(table, sample, seed=seed)
        self.every, self.images = whole("every", every, 1), whole("images", images, 1)
        self.batch_norm = known_batch_norm(batch_norm)
        self.top, self.resamples = min(whole("top", top, 1), len(self.known)), whole("resamples", resamples, 10)
        self.seed = whole("seed", seed)

    def check(self, searcher: Any) -> None:
        """Raises `SpecError` if the searcher has no shared weights, or cannot score the table's architectures."""
        if not isinstance(searcher, SupernetSearcher):
            raise SpecError(
                "ranking=... scores architectures with shared weights, and a sampler has none; for an estimator take "
                "nl.analysis.rank_correlation(known, estimator)"
            )
        for architecture in self.known.architectures:
            searcher.space.check(architecture)
        self._score(searcher, self.known.architectures[0])

    def due(self, step: int, total: int) -> bool:
        """True if there is a ranking after this step: the first, every `every`, and the last."""
        return step == 1 or step % self.every == 0 or step == total

    def rank(self, searcher: SupernetSearcher) -> Ranked:
        """Returns the event of a ranking with the current weights."""
        known, best = self.known, searcher.best
        scores = [self._score(searcher, architecture) for architecture in known.architectures]
        place = known.place(best)
        return Ranked(
            step=searcher.step,
            table=known.name,
            size=known.size,
            batch_norm=self.batch_norm,
            images=self.images,
            numbers=tuple(known.numbers.tolist()),
            scores=tuple(scores),
            truth=tuple(known.truth.tolist()),
            top=self.top,
            **self._figures(scores),
            best=best,
            best_score=self._score(searcher, best),
            best_truth=None if place is None else place.truth,
            best_rank=None if place is None else place.rank,
            best_regret=None if place is None else place.regret,
        )

    def _figures(self, scores: list[float]) -> dict[str, Figure | None]:
        """Returns each statistic with its bootstrap interval; None if it is undefined, as for equal scores."""
        names = ("kendall", "spearman", "overlap", "regret")
        truth = self.known.truth
        if len(set(scores)) == 1 or len(set(truth)) == 1:
            return dict.fromkeys(names)
        found = Ranking.of(scores, truth, top=self.top, resamples=self.resamples, seed=self.seed)
        figures: dict[str, Figure] = {name: tuple(getattr(found, name)) for name in names}
        return {name: figure if all(map(math.isfinite, figure)) else None for name, figure in figures.items()}

    def _score(self, searcher: SupernetSearcher, architecture: Architecture) -> float:
        """Returns the task's objective of a child, negated if less is better."""
        score = searcher.score(architecture, batch_norm=self.batch_norm, examples=self.images)
        return searcher.task.fitness_of(score)

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `from_spec` rebuilds the ranking."""
        return {
            "table": self.known.table.spec(),
            "fingerprint": self.known.table.fingerprint(),
            "numbers": self.known.numbers.tolist(),
            "every": self.every,
            "batch_norm": self.batch_norm,
            "images": self.images,
            "top": self.top,
            "resamples": self.resamples,
            "seed": self.seed,
        }

    @classmethod
    @described("a ranking")
    def from_spec(cls, spec: Mapping[str, Any]) -> LiveRanking:
        """Rebuilds a ranking from its spec; `SpecError` if the table has changed since."""
        settings = dict(spec)
        table, fingerprint = estimators.from_spec(settings.pop("table")), settings.pop("fingerprint")
        if table.fingerprint() != fingerprint:
            raise SpecError(
                f"the table of the ranking is not the one that the run began with: its fingerprint is "
                f"{table.fingerprint()[:12]}, expected {fingerprint[:12]}; bring the files of that time back"
            )
        return cls(table, settings.pop("numbers"), **settings)  # type: ignore[arg-type]
