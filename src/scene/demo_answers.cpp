#include "demo_answers.hpp"

#include <fmt/format.h>

#include "ecmigrate/base/text.hpp"

namespace ecmigrate::scene {

Answer answer_about_naive(const NaiveResult& naive) {
  // No answer for so long is an outage, whether or not the application had given up by then.
  constexpr double k_outage_ms = 500;
  const TrafficStats& traffic = naive.traffic;
  const bool bad = traffic.failed > 0 || traffic.longest_gap_ms >= k_outage_ms;
  const std::string gap = format_milliseconds(traffic.longest_gap_ms);
  if (naive.running) {
    return {bad ? "bad" : "ok", failed_of(traffic),
            fmt::format("On the copy, so far: longest time without an answer {}.", gap)};
  }
  return {bad ? "bad" : "warn", failed_of(traffic),
          fmt::format("On the copy: the naive way held it for {}, and no request was answered for {}.",
                      format_milliseconds(naive.held_ms.value_or(0)), gap)};
}

std::optional<Answer> migration_answer(const Standing& standing, const std::optional<NaiveResult>& naive,
                                       const TrafficStats& live) {
  if (!naive) {
    return std::nullopt;
  }
  if (naive->running) {
    return Answer{
        "run", "The naive way runs on a copy",
        "One transaction: add the columns, update every row, drop full_name. The users themselves are as they were."};
  }
  if (standing.state != State::contracted) {
    return std::nullopt;
  }
  return Answer{"ok", "Contracted; naive run done",
                fmt::format("split-full-name: {} failed. The naive way, on a copy of the table: {} failed.",
                            with_thousands(live.failed), with_thousands(naive->traffic.failed))};
}

std::optional<Answer> next_answer(const Standing& standing, const std::optional<MigrationView>& migration,
                                  const std::string& plan_file, const std::string& target) {
  const auto command = [&](const std::string& phase) {
    return fmt::format("ecmigrate {} {} -d {}", phase, shell_quote(plan_file), shell_quote(target));
  };
  if (migration) {
    const Situation situation = situation_of(*migration);
    if (situation == Situation::failed || situation == Situation::lost || situation == Situation::paused) {
      return std::nullopt;
    }
  }
  if (standing.running == "expand") {
    return Answer{"none", "Then backfill", "Press Run backfill when it is done, or:", command("backfill")};
  }
  if (standing.running == "backfill") {
    return Answer{"none", "Then verify", "Press Run verify when it is done, or:", command("verify")};
  }
  if (standing.running == "naive") {
    return Answer{"none", "Nothing to do", "It ends by itself, and the copy is dropped."};
  }
  if (!standing.running.empty()) {
    return std::nullopt;
  }
  switch (standing.state) {
    case State::planned:
    case State::rolled_back:
      return Answer{"you", "Run expand",
                    "Adds first_name and last_name beside full_name. Press Run expand, or:", command("expand")};
    case State::expanded:
      return Answer{"you", "Run backfill", "Both versions write. Press Run backfill, or:", command("backfill")};
    case State::backfilled:
      return Answer{"you", "Run verify", "Compares every row. Press Run verify, or:", command("verify")};
    case State::verified:
      return standing.old_version
                 ? Answer{"you", "Stop the old version",
                          "The new one runs beside it already. Contract is safe when no instance of the old one runs."}
                 : Answer{"you", "Run contract", "Drops full_name. Press Run contract, or:", command("contract")};
    case State::contracted:
      return standing.naive_seen
                 ? Answer{"none", "Compare, or begin again", "The same with more rows, in a terminal:",
                          fmt::format("ecmigrate compare {} --rows 50k,500k,5M", shell_quote(plan_file))}
                 : Answer{"you", "Run the naive way",
                          "On a copy of the users, under the same traffic: see what it does to the application."};
    default:
      return std::nullopt;
  }
}

}  // namespace ecmigrate::scene
