"""Write the shipped model's figures into the documentation, from its card: ``--check`` only says whether they are there."""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/model.md", "README.md")


def rendered(card: dict) -> dict[str, str]:
    """Return the text of each block of figures, by its name."""
    blind, every = card["metrics"]["blind"], card["metrics"]["without_bar"]
    low, high = blind["intervals"]["balanced_accuracy"]
    rows = [
        ("accuracy", "accuracy", "{:.2f}"),
        ("balanced over the categories", "balanced_accuracy", "{:.2f}"),
        ("balanced, each source once", "by_source", "{:.2f}"),
        ("balanced, borders merged", "merged_balanced_accuracy", "{:.2f}"),
        ("right one among the first three", "top_3_accuracy", "{:.2f}"),
        ("certain", "certain_share", "{:.0%}"),
        ("right when certain", "accuracy_when_certain", "{:.0%}"),
        ("ECE after calibration", "ece_after", "{:.3f}"),
    ]
    table = ["| | blind sources | all sources |", "|---|---|---|"]
    table += [f"| {title} | {form.format(blind[key])} | {form.format(every[key])} |" for title, key, form in rows]
    worth = card["metrics"]["effective_sources"]
    recalls = ["| category | recall, blind | recall, all | effective number of sources |", "|---|---|---|---|"]
    recalls += [
        f"| {name} | {blind['recall'].get(name, float('nan')):.2f} | {every['recall'][name]:.2f} | {worth[name]:.1f} |"
        for name in card["labels"]
    ]
    optimism = every["balanced_accuracy"] - blind["balanced_accuracy"]
    counts = (
        f"{blind['frames']} frames of {blind['sources']} blind sources, and all {card['metrics']['frames']} frames of "
        f"{card['metrics']['sources']} sources. Balanced accuracy on blind sources lies between {low:.2f} and {high:.2f} "
        f"19 times of 20; ordinary cross-validation claims {optimism:+.2f} more: its optimism."
    )
    short = (
        f"On laboratories nobody here has looked at, {blind['accuracy']:.0%} of the frames get the right one of ten categories "
        f"({blind['balanced_accuracy']:.2f} balanced); {blind['certain_share']:.0%} are certain, and of these "
        f"{blind['accuracy_when_certain']:.0%} are right."
    )
    open_only = card["metrics"]["open_only"]
    without = (
        f"With the {open_only['real_frames']} openly licensed frames alone (`--open-only`) it is, on blind sources, "
        f"{open_only['blind']['accuracy']:.2f} accurate, {open_only['blind']['balanced_accuracy']:.2f} balanced, "
        f"{open_only['blind']['by_source']:.2f} with each source once; {open_only['blind']['certain_share']:.0%} are certain, and "
        f"{open_only['blind']['accuracy_when_certain']:.0%} of these right; ECE {open_only['blind']['ece_after']:.3f}."
    )
    return {"figures": "\n".join([counts, "", *table, "", *recalls, "", without]), "figures-in-short": short}


def main() -> None:
    """Write or check all pages."""
    card = yaml.safe_load((ROOT / "models/default/card.yaml").read_text(encoding="utf-8"))
    blocks, stale = rendered(card), []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        made = text
        for block, content in blocks.items():
            pattern = rf"(<!-- {block} -->\n).*?(<!-- /{block} -->)"
            made = re.sub(
                pattern, lambda found, content=content: f"{found[1]}{content}\n{found[2]}", made, flags=re.DOTALL
            )
        if made != text:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(made, encoding="utf-8")
    if "--check" in sys.argv and stale:
        raise SystemExit(f"{', '.join(stale)}: not the card's figures; run python .ci/write_figures.py")


if __name__ == "__main__":
    main()
