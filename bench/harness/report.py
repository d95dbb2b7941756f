"""Writes the results of a scenario as Markdown and as pictures."""

import itertools

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "rhesis_notify"
# The picture is small, so it has large letters. It must be readable on a telephone.
matplotlib.rcParams["font.size"] = 11
WIDTH = 7

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import NullLocator, StrMethodFormatter  # noqa: E402

OURS, THEIRS = "#2b6cb0", "#a0aec0"


class Report:
    """Paragraphs, tables and pictures, in the order in which they are added. The targets stand
    before all of them."""

    def __init__(self, name, title, directory):
        self.name, self.title, self.directory = name, title, directory
        self.parts = []
        self.targets = []
        self.ahead = []

    def text(self, paragraph):
        self.parts.append(paragraph)

    def target(self, target):
        self.targets.append(target)

    def compare(self, what, ours, others, more_is_better=True):
        """Notes each contestant of {name: Series} whose median is better than ours."""
        for name, series in others.items():
            ratio = series.median / ours.median if more_is_better else ours.median / series.median
            if round(ratio, 2) > 1:
                self.ahead.append(f"{name}: {what}, {ratio:.2f} times as good")

    def table(self, header, rows):
        """Adds a table. The first column is a name, and the others are figures."""
        lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        self.parts.append("\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines))

    def bars(self, name, label, series, digits=0):
        """Adds a bar for the median of each {name: Series}, with marks at the minimum and the
        maximum. Names that begin with rhesis_notify are ours."""
        names = list(series)[::-1]
        figure, axes = plt.subplots(figsize=(WIDTH, 0.7 + 0.42 * len(names)))
        medians = [series[one].median for one in names]
        errors = [[series[one].median - min(series[one].values) for one in names],
                  [max(series[one].values) - series[one].median for one in names]]
        colors = [OURS if one.startswith("rhesis_notify") else THEIRS for one in names]
        axes.barh(names, medians, xerr=errors, color=colors, ecolor="#4a5568", capsize=3)
        for place, one in enumerate(names):
            axes.annotate(f"{series[one].median:,.{digits}f}", (max(series[one].values), place), xytext=(6, 0), textcoords="offset points", va="center")
        axes.margins(x=0.14)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(label)
        self.save(figure, axes, name, label)

    def lines(self, name, x_label, y_label, curves, log=False):
        """Adds a curve for each {name: [(x, y), ...]}. With log, the x axis is logarithmic."""
        figure, axes = plt.subplots(figsize=(WIDTH, 3.8))
        dashes = itertools.cycle(["-", ":"])
        for curve, points in curves.items():
            style = {"color": OURS, "linewidth": 2, "zorder": 3} if curve.startswith("rhesis_notify") else {"color": THEIRS, "linestyle": next(dashes)}
            axes.plot(*zip(*points), marker="o" if len(points) < 30 else None, label=curve, **style)
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks([x for x, _ in points])
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            axes.set_ylim(0, 1.15 * max(y for points in curves.values() for _, y in points))
            axes.locator_params(axis="x", nbins=6)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.legend(frameon=False)
        self.save(figure, axes, name, y_label)

    def save(self, figure, axes, name, label):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e2e8f0")
        axes.set_axisbelow(True)
        figure.tight_layout()
        figure.savefig(f"{self.directory}/{name}.svg", metadata={"Date": None})
        plt.close(figure)
        self.parts.append(f"![{self.title}: {label}]({name}.svg)")

    def markdown(self):
        return "\n\n".join([f"## {self.title}", *([target_table(self.targets)] if self.targets else []), *self.parts])


def target_table(targets):
    return "\n".join(["| target | wanted | reached: median (least – most) | n | |", "| --- | ---: | ---: | ---: | --- |",
                      *(target.row() for target in targets)])


def all_targets(reports):
    return [target for report in reports for target in report.targets]


def all_met(reports):
    return all(target.met for target in all_targets(reports))


def verdict(reports, broken):
    """broken has the names of the scenarios that could not be run."""
    targets = all_targets(reports)
    missing = f" Could not be run: {', '.join(broken)}." if broken else ""
    return f"{sum(target.met for target in targets)} of {len(targets)} targets met.{missing}"


def who_is_ahead(reports):
    lines = [f"- {line} ({report.title})" for report in reports for line in report.ahead]
    return "\n".join(["Where somebody else is ahead of one worker of ours:", "", *(lines or ["- nowhere"])])
