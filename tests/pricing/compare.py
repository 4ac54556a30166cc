#!/usr/bin/env python3
"""Compares our rating with LiteLLM's own cost calculator, over its own price map.

    python3 -m venv venv && venv/bin/pip install litellm==1.109.1
    venv/bin/python tests/pricing/compare.py generate --per-model 40 > /tmp/samples.tsv
    cargo run -q -p schemas --example rate_samples < /tmp/samples.tsv > /tmp/costs.tsv
    python3 tests/pricing/compare.py compare /tmp/costs.tsv

The samples that the Rust test reads offline (schemas/tests/pricing/samples.tsv) are
`generate --per-model 4`. A samples file has lines of tab-separated values:

    u  number  prompt  completion  cache_read  cache_write  cache_write_1h  audio_in  reasoning  audio_out
    m  model   tier+usage=cost ...

where the tier is one letter: s(tandard) p(riority) f(lex) b(atch) a (balanced) u(ltrafast), and o for
standard at an off-peak hour. Everything else is billed on a Tuesday at 02:00 UTC, when no model is
off-peak. The cost is the reference's float, to 13 digits and 18 decimals. The costs file has our cost
behind each: tier+usage=cost=ours.
"""

import argparse
import collections
import contextlib
import datetime
import decimal
import json
import os
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAP = ROOT / "schemas/data/model_prices_and_context_window.json"
TOLERANCE = 1e-9
TIERS = {"s": None, "p": "priority", "f": "flex", "b": "batch", "a": "balanced", "u": "ultrafast", "o": None}
SUFFIXES = {"p": "_priority", "f": "_flex", "b": "_batches", "a": "_balanced", "u": "_ultrafast"}
BORDERS = (32_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000)
PEAK = datetime.datetime(2026, 11, 24, 2, 0, tzinfo=datetime.timezone.utc)
OFF_PEAK = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.timezone.utc)


def usages(chance):
    """A pool of usages: (prompt, completion, cr, cw, cw1h, audio_in, reasoning, audio_out)."""
    pool = [(border + above, 700, 0, 0, 0, 0, 0, 0) for border in BORDERS for above in (0, 1)]
    pool += [(border + 1, 900, border // 3, border // 5, border // 7, 0, 300, 0) for border in BORDERS]
    while len(pool) < 400:
        longest = chance.choice((300, 8_000, 150_000, 250_000, 400_000, 900_000))
        prompt = chance.randint(1, longest)
        completion = chance.randint(0, chance.choice((200, 4_000, 60_000)))
        read = chance.randint(0, prompt) if chance.random() < 0.6 else 0
        write = chance.randint(0, prompt - read) if chance.random() < 0.3 else 0
        hour = chance.randint(0, prompt - read - write) if chance.random() < 0.15 else 0
        audio = chance.randint(0, prompt - read - write - hour) if chance.random() < 0.15 else 0
        reasoning = chance.randint(0, completion) if chance.random() < 0.4 else 0
        spoken = chance.randint(0, completion - reasoning) if chance.random() < 0.1 else 0
        pool.append((prompt, completion, read, write, hour, audio, reasoning, spoken))
    return pool


class Reference:
    """LiteLLM, asked for one chat call at a fixed moment."""

    def __init__(self, price_map):
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm
        from litellm import _internal_context
        from litellm.types import utils

        litellm.suppress_debug_info = True
        own = pathlib.Path(litellm.__file__).with_name("model_prices_and_context_window_backup.json")
        if own.read_bytes() != MAP.read_bytes():
            sys.exit(f"{own} is another price map than {MAP}")
        self.litellm, self.types, self.clock = litellm, utils, _internal_context._billing_time
        self.price_map = price_map

    def cost(self, model, letter, usage):
        prompt, completion, read, write, hour, audio, reasoning, spoken = usage
        entry = self.price_map[model]
        long_lived = "ephemeral_1h_input_tokens"
        if "cache_creation_input_token_cost_above_12hr" in entry:
            long_lived = "ephemeral_12h_input_tokens"
        lifetimes = self.types.CacheCreationTokenDetails(**{"ephemeral_5m_input_tokens": write, long_lived: hour})
        counts = self.types.Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=self.types.PromptTokensDetailsWrapper(
                cached_tokens=read,
                audio_tokens=audio,
                cache_creation_tokens=write + hour,
                cache_creation_token_details=lifetimes if write or hour else None,
            ),
            completion_tokens_details=self.types.CompletionTokensDetailsWrapper(
                reasoning_tokens=reasoning, audio_tokens=spoken
            ),
        )
        token = self.clock.set(OFF_PEAK if letter == "o" else PEAK)
        try:
            parts = self.litellm.cost_per_token(
                model=model,
                custom_llm_provider=entry["litellm_provider"],
                usage_object=counts,
                service_tier=None if letter == "b" else TIERS[letter],
                call_type="aretrieve_batch" if letter == "b" else "completion",
            )
        finally:
            self.clock.reset(token)
        cost = decimal.Decimal(f"{sum(parts):.13g}")
        return f"{cost.quantize(decimal.Decimal('1e-18')).normalize():f}"


def letters(entry):
    """The tiers that an entry prices, and off-peak if it has such hours."""
    found = [letter for letter, suffix in SUFFIXES.items() if any(field.endswith(suffix) for field in entry)]
    return found + (["o"] if "off_peak_pricing" in entry else [])


def borders(entry):
    """Positions in the pool of the usages at and just above the entry's thresholds."""
    text = json.dumps(entry)
    return [
        position
        for number, border in enumerate(BORDERS)
        if f"_above_{border // 1000}k_tokens" in text or f"{border}.0" in text or f" {border}]" in text
        for position in (2 * number, 2 * number + 1, 2 * len(BORDERS) + number)
    ]


def generate(arguments):
    price_map = json.loads(MAP.read_text())
    reference = Reference(price_map)
    chance = random.Random(arguments.seed)
    pool = usages(chance)
    lines, used = [], set()
    for model in sorted(name for name, entry in price_map.items() if entry.get("mode") == "chat"):
        entry = price_map[model]
        wanted = [("s", position) for position in chance.sample(range(len(pool)), arguments.per_model)]
        wanted += [("s", position) for position in borders(entry)]
        for letter in letters(entry):
            wanted += [(letter, position) for position in chance.sample(range(len(pool)), max(2, arguments.per_model // 4))]
            wanted += [(letter, position) for position in borders(entry)[1:3]]
        # A tier without a price of its own costs the standard price.
        unstated = [letter for letter in "pfau" if letter not in letters(entry)]
        wanted += [(letter, chance.randrange(len(pool))) for letter in unstated if arguments.per_model > 10]
        wanted += [(unstated[0], position) for position in borders(entry)[2:3]]
        samples = []
        for letter, position in wanted:
            used.add(position)
            # The library talks on standard output.
            with contextlib.redirect_stdout(sys.stderr):
                cost = reference.cost(model, letter, pool[position])
            samples.append(f"{letter}{position}={cost}")
        lines.append("\t".join(["m", model, *samples]))
    print(f"# made by tests/pricing/compare.py with litellm 1.109.1, seed {arguments.seed}")
    for position in sorted(used):
        print("u", position, *pool[position], sep="\t")
    print("\n".join(lines))


def agree(reference, ours):
    if ours == "unrated":
        return False
    reference, ours = float(reference), float(ours)
    return abs(reference - ours) <= TOLERANCE * max(abs(reference), abs(ours))


def compare(arguments):
    price_map = json.loads(MAP.read_text())
    groups, total, count, agreeing = collections.defaultdict(list), 0, 0, 0
    for line in open(arguments.costs):
        model, *fields = line.rstrip("\n").split("\t")
        cases = [field.split("=") for field in fields]
        differing = [case for case in cases if not agree(*case[1:])]
        total, count, agreeing = total + 1, count + len(cases), agreeing + (not differing)
        if differing:
            kind = "unrated" if all(ours == "unrated" for *_, ours in differing) else "differs"
            tiers = "".join(sorted({case[0] for case, *_ in differing}))
            groups[(price_map[model]["litellm_provider"], kind, tiers)].append((model, differing[0]))
    print(f"{total} models, {count} samples; {agreeing} models agree on every sample")
    for group, models in sorted(groups.items()):
        print(*group, len(models), sep="\t")
        for model, case in models if arguments.models else models[:2]:
            print("   ", model, *case)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    make = commands.add_parser("generate")
    make.add_argument("--per-model", type=int, default=4)
    make.add_argument("--seed", type=int, default=20261109)
    make.set_defaults(run=generate)
    check = commands.add_parser("compare")
    check.add_argument("costs")
    check.add_argument("--models", action="store_true", help="name every model")
    check.set_defaults(run=compare)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
