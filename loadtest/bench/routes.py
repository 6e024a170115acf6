"""A plan of twenty models and fifty rules, of which none applies to the load.

So each request is held to every rule, and to its complexity, before it goes
where it would have gone without them.
"""

TIERS = ["gold", "silver", "trial", "internal", "batch"]


def write(place, backend):
    """The configuration file's path. The load asks for the model `mock`."""
    lines = ["[[backend]]", f'url = "http://{backend}"', 'name = "only"', ""]
    names = ["mock"] + [f"llama-{size}" for size in range(1, 20)]
    for name in names:
        lines += ["[[model]]", f'name = "{name}"', 'candidates = [{ backends = ["only"] }]', ""]
    for number, condition in enumerate(_conditions(), 1):
        target = names[1 + number % 19]
        lines += ["[[route]]", f'name = "rule-{number}"', condition, f'to = "{target}"', ""]
    path = place.fresh("routes") / "routes.toml"
    path.write_text("\n".join(lines))
    return path


def _conditions():
    """Fifty conditions that the load meets none of."""
    rules = [f'when.model = ["gpt-{number}*", "claude-{number}-*"]' for number in range(20)]
    rules += [f'when.stream = true\nwhen.header.x-tier = ["{tier}"]' for tier in TIERS]
    rules += [f'when.header.x-tier = ["{tier}", "{tier}-*"]' for tier in TIERS]
    rules += [f'when.path = ["/v{version}/embeddings", "/v{version}/audio/*"]'
              for version in range(1, 6)]
    rules += [f'when.prompt_tokens_min = {tokens}000' for tokens in range(20, 10, -1)]
    rules += ["when.tools = true", "when.images = true"]
    rules += [f'when.complexity_min = 0.{share}' for share in (8, 65, 5)]
    return rules
