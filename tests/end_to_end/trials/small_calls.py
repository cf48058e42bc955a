"""One token beside thousands: small calls do not wait for large ones."""

from server import ATTENTION_768, Load, Row, Server, create_layer, load

LARGE = {"lengths": 4096, "width": 64}


def run(build, long):
    seconds = 30 if long else 5
    rows = []
    with Server(build, "--log_level=error") as server:
        create_layer(build, server, ATTENTION_768)
        alone = load(build, server, callers=1, duration_s=seconds / 2, **LARGE)["latency"]["p50_ms"]
        for what, small in (("1 token x 64, simplified", {"width": 64}),
                            ("1 token x 768, a stored layer", {"layer": "attention"})):
            stream = Load(build, server, callers=4, duration_s=seconds + 3, **LARGE)
            one_token = load(build, server, callers=1, lengths=1, duration_s=seconds, warm_up_s=2,
                             **small)
            beside = stream.result()
            p99 = one_token["latency"]["p99_ms"]
            rows.append(Row(f"p99 of {what}, beside 4 callers of 4096 tokens",
                            "<= 2 x one such call",
                            f"{p99:.1f} ms; one call {alone:.1f} ms", p99 <= 2 * alone))
            all_ok = all(set(r["by_code"]) == {"OK"} for r in (one_token, beside))
            rows.append(Row("calls of both", "all are answered",
                            f"{one_token['by_code']}, {beside['by_code']}", all_ok, must=True))
    return rows
