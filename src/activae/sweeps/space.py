"""The space of a search, from Hydra's own override grammar.

`key=interval(a,b)` is a number between, `range(a,b,step)` one of those that a grid would take,
`choice(x,y)` or `x,y` an option; `tag(log,...)` spaces numbers logarithmically, `int(...)` or
`tag(int,...)` keeps an interval to whole ones. Any other override is every trial's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer

from activae.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# What does not tell one search from another.
_WHERE = ("resume", "score.test", "sweep", "trusted_modules")
# Of every run that tunes, unless the command says otherwise: test is for the runs that compare.
WITHOUT_TEST, WITH_TEST = "score.test=false", "score.test=true"


@dataclass(frozen=True)
class Options:
    """One of several values; `texts` is how each is written on the command line."""

    values: tuple[Any, ...]
    texts: tuple[str, ...]

    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def text(self, value: Any) -> str:
        """A drawn value as the command line takes it."""
        return self.texts[self.values.index(value)]


@dataclass(frozen=True)
class Numbers:
    """Numbers from `low` to `high`, both included; whole ones if both are ints."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def text(self, value: Any) -> str:
        """A drawn value as the command line takes it."""
        return f"{value:.12g}" if self.step and isinstance(value, float) else repr(value)


Domain = Options | Numbers


@dataclass(frozen=True)
class Space:
    """What a search varies, and the overrides that all its trials have.

    fixed: override lines; domains: by key, with how each was written in `written`; seeds: override
    lines, where a trial is a run with each of several seeds.
    """

    fixed: tuple[str, ...]
    domains: Mapping[str, Domain]
    written: tuple[str, ...]
    seeds: tuple[str, ...] = ()

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The overrides of a trial with these values."""
        drawn = [f"{key}={domain.text(params[key])}" for key, domain in self.domains.items()]
        return [*self.fixed, *drawn]

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna draws from, by key."""
        return {key: domain.distribution() for key, domain in self.domains.items()}

    def examples(self) -> list[list[str]]:
        """Overrides in which every option occurs, for a look at whether all can be composed."""
        first = {key: _some(domain)[0] for key, domain in self.domains.items()}
        lines = [self.overrides(first)]
        for key, domain in self.domains.items():
            lines += [self.overrides(first | {key: value}) for value in _some(domain)[1:]]
        return lines

    def signature(self) -> dict[str, list[str]]:
        """What two searches must agree on to be the same."""
        fixed = [line for line in self.fixed if line.partition("=")[0] not in _WHERE]
        fixed += self.seeds
        return {"space": sorted(self.written), "fixed": sorted(fixed)}


def _some(domain: Domain) -> Sequence[Any]:
    return domain.values if isinstance(domain, Options) else (domain.low,)


def parse(lines: Iterable[str], loader: ConfigLoader) -> dict[str, Override]:
    """Override lines by their key; a later one takes an earlier one's place."""
    parser = OverridesParser.create(config_loader=loader)
    return {each.get_key_element(): each for each in parser.parse_overrides(list(lines))}


def space_of(overrides: Mapping[str, Override]) -> Space:
    """Tell what is searched from what is fixed.

    Raises ConfigError for a space that is empty, upside down or tagged with what is not known.
    """
    searched = {key: each for key, each in overrides.items() if each.is_sweep_override()}
    if not searched:
        raise ConfigError(
            "hydra/sweeper=optuna: there is nothing to search; give a key a space, such as "
            "'optimizer.lr=tag(log,interval(1e-4,1e-1))' or activation=relu,tanh"
        )
    if "seed" in searched:
        raise ConfigError(
            f"{searched['seed'].input_line}: a search would choose the luckiest seed; give one"
        )
    return Space(
        fixed=tuple(str(o.input_line) for key, o in overrides.items() if key not in searched),
        domains={key: _domain(each) for key, each in searched.items()},
        written=tuple(str(each.input_line) for each in searched.values()),
    )


def _domain(override: Override) -> Domain:
    value: Any = override.value()
    tags = set(getattr(value, "tags", ()))
    unknown = tags - {"log", "int"}
    if unknown:
        raise _wrong(override, f"the tag {sorted(unknown)[0]} is not known; there are log and int")
    if isinstance(value, IntervalSweep):
        return _interval(override, value)
    if isinstance(value, RangeSweep):
        return _range(override, value)
    texts = dict.fromkeys(override.sweep_string_iterator())
    encoded = dict(
        zip(
            override.sweep_string_iterator(),
            override.sweep_iterator(transformer=Transformer.encode),
            strict=True,
        )
    )
    if getattr(value, "shuffle", False):
        raise _wrong(override, "a search has its own order; leave out shuffle")
    return Options(tuple(encoded[text] for text in texts), tuple(texts))


def _interval(override: Override, interval: IntervalSweep) -> Numbers:
    low, high = interval.start, interval.end
    assert low is not None
    assert high is not None
    if not low < high:
        raise _wrong(override, f"goes from {low} to {high}; the smaller number comes first")
    if "log" in interval.tags and low <= 0:
        raise _wrong(override, f"starts at {low}, which has no logarithm")
    if "int" in interval.tags:
        low, high = int(low), int(high)
    return Numbers(low, high, log="log" in interval.tags)


def _range(override: Override, given: RangeSweep) -> Numbers:
    values = sorted(given.range())
    if len(values) < 2:
        count = "no number" if not values else f"{values[0]} alone"
        raise _wrong(override, f"holds {count}; from START up to, without, STOP there must be two")
    step = values[1] - values[0] if isinstance(values[0], int) else abs(float(given.step))
    log = "log" in given.tags
    if log and (step != 1 or values[0] <= 0):
        raise _wrong(override, "on a log scale a range has steps of 1 and starts at 1 or more")
    return Numbers(values[0], values[-1], step, log)


def _wrong(override: Override, what: str) -> ConfigError:
    return ConfigError(f"{override.input_line}: {what}")
