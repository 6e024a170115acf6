"""Ratios of interleaved pairs, and the words that show them."""

import statistics


def spread(values):
    """Median, least and greatest: a mean would hide one disturbed run."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(pairs, figure):
    """One figure over all pairs: each side's spread, and that of ours/theirs."""
    ours = [pair["ours"][figure] for pair in pairs]
    theirs = [pair["theirs"][figure] for pair in pairs]
    row = {"ours": spread(ours), "theirs": spread(theirs)}
    if all("floor" in pair for pair in pairs):
        floor = row["floor"] = spread([pair["floor"][figure] for pair in pairs])
        if min(floor["min"], *ours, *theirs) > 0:
            row["ours_to_floor"] = spread([pair["ours"][figure] / pair["floor"][figure] for pair in pairs])
            row["floor_to_theirs"] = spread([pair["floor"][figure] / pair["theirs"][figure] for pair in pairs])
    if min(ours + theirs) > 0:  # a difference may be below nothing, and has no ratio then
        row["ratio"] = spread([mine / other for mine, other in zip(ours, theirs)])
    return row


def words(spread_, form):
    return "{} ({}–{})".format(*(form.format(spread_[key]) for key in ("median", "min", "max")))


def print_pair(number, pair, primary):
    ours, theirs = pair["ours"][primary], pair["theirs"][primary]
    floor = f"  floor {pair['floor'][primary]:8.2f}" if "floor" in pair else ""
    print(f"  pair {number}: ours {ours:8.2f}  theirs {theirs:8.2f}{floor}  ratio {ours / theirs:.3f}",
          flush=True)


def print_summary(pairs, figures):
    """`figures` are pairs of a name and a format, the primary one first."""
    rows = {}
    print(f"  {'median (min–max)':<24}{'ours':>30}{'theirs':>30}{'ours / theirs':>26}")
    for name, form in figures:
        row = rows[name] = summary(pairs, name)
        ratio = words(row["ratio"], "{:.3f}") if "ratio" in row else "-"
        print(f"  {name:<24}{words(row['ours'], form):>30}{words(row['theirs'], form):>30}{ratio:>26}",
              flush=True)
    for name, form in figures:
        if "floor" in rows[name]:
            print(f"  {'floor: ' + name:<24}{words(rows[name]['floor'], form):>30}"
                  + _floor_ratios(rows[name]), flush=True)
    return rows


def _floor_ratios(row):
    if "ours_to_floor" not in row:
        return ""
    return (f"  ours / floor {words(row['ours_to_floor'], '{:.3f}')}"
            f"  floor / theirs {words(row['floor_to_theirs'], '{:.3f}')}")
