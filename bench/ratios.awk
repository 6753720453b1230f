# SPDX-License-Identifier: MIT
#
# From the lines "round name unit value" of bench/run to lines of the same form
# with ratios: figures of the same round are compared, so that a drift of the
# machine hurts both sides alike. What was not measured has no ratio.

function ratio(name, a, b, r) {
  for (r in rounds)
    if ((r, a) in v && (r, b) in v && v[r, b] > 0)
      printf "%s %s x %.6g\n", r, name, v[r, a] / v[r, b]
}
# The best round of each: what is left when nobody else was at work.
function least(name, a, b) {
  if (a in low && b in low && low[b] > 0) printf "1 %s x %.6g\n", name, low[a] / low[b]
}
# Daemon and PostgreSQL together.
function both(name, r) {
  for (r in rounds)
    if ((r, name ".cpu.daemon") in v)
      v[r, name ".both"] = v[r, name ".cpu.daemon"] + v[r, name ".cpu.postgres"]
}
# Some rounds have fewer figures than others; these names differ by a number.
function within(name, pattern, upper, lower, r, k, part) {
  for (k in v) {
    split(k, part, SUBSEP)
    if (part[2] ~ pattern && part[2] ~ upper "$")
      ratio_of(name, part[1], part[2], upper, lower)
  }
}
function ratio_of(name, r, a, upper, lower, b) {
  b = a
  sub(upper "$", lower, b)
  if ((r, b) in v && v[r, b] > 0) printf "%s %s x %.6g\n", r, name, v[r, a] / v[r, b]
}
{
  v[$1, $2] = $4
  rounds[$1] = 1
  if (!($2 in low) || $4 < low[$2]) low[$2] = $4
}
END {
  ratio("ratio.turn_to_floor.p50", "turn.hearth.p50", "turn.floor.p50")
  least("ratio.turn_to_floor.least", "turn.hearth.p50", "turn.floor.p50")
  ratio("ratio.turn_to_floor.p99", "turn.hearth.p99", "turn.floor.p99")
  ratio("ratio.turn_to_floor.with_submit.p50", "turn.hearth.with_submit.p50", "turn.floor.with_submit.p50")
  ratio("ratio.turn_to_peer.p50", "turn.hearth.p50", "turn.peer.p50")
  ratio("ratio.turn_p99_to_p50", "turn.hearth.p99", "turn.hearth.p50")
  ratio("ratio.storm_to_peer", "storm.50.hearth.turns", "storm.50.peer.turns")
  ratio("ratio.queue_10000_to_1", "queue.waiting_10000.p50", "queue.waiting_1.p50")
  ratio("ratio.spawn_1gb_to_10mb", "spawn.1gb.caller.p50", "spawn.10mb.caller.p50")
  within("ratio.lag_slowest_to_median", "^lag\\.", "slowest", "median")
  within("ratio.bigline_during_to_before", "^bigline\\.", "during\\.median", "before.median")
  split("1 4 50", n, " ")
  for (i = 1; i <= 3; i++) {
    hearth = "stream." n[i] ".hearth"
    peer = "stream." n[i] ".peer"
    both(hearth)
    both(peer)
    name = "ratio.stream_" n[i] "_to_peer"
    ratio(name ".updates", hearth ".updates", peer ".updates")
    ratio(name ".unflushed_updates", hearth ".unflushed.updates", peer ".updates")
    ratio(name ".cpu", hearth ".cpu.daemon", peer ".cpu.daemon")
    ratio(name ".cpu_with_postgres", hearth ".both", peer ".both")
  }
  split("1 50 200", n, " ")
  for (i = 1; i <= 3; i++)
    ratio("ratio.memory_" n[i] "_to_peer", "memory." n[i] ".hearth.rss", "memory." n[i] ".peer.rss")
}
