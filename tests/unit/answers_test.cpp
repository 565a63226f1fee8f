#include "ecmigrate/report/answers.hpp"

#include <set>

#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

constexpr Instant k_now = 1'795'530'667'000;  // 2026-11-24T14:31:07Z

RunView run(const std::string& command, std::optional<std::string> outcome = {}) {
  RunView view;
  view.command = command;
  view.host = "ops-1";
  view.process = 3121;
  view.plan_file = "plans/my plan.yaml";
  view.since = k_now - 60'000;
  if (outcome) {
    view.finished_at = k_now - 1'000;
  }
  view.outcome = std::move(outcome);
  return view;
}

MigrationView migration(State state, std::optional<RunView> newest = {}) {
  MigrationView view;
  view.name = "split";
  view.state = state;
  view.state_text = state_name(state);
  view.started_at = k_now - 600'000;
  view.changed_at = k_now - 5'000;
  view.run = std::move(newest);
  return view;
}

MigrationView backfilling(double percent) {
  MigrationView view = migration(State::backfilling, run("backfill"));
  view.walks = {{"users", 1'000, {51'705'112, 0, 10, 0}, false}};
  event::Progress progress;
  progress.phase = "backfill";
  progress.relation = "users";
  progress.percent = percent;
  progress.rows_estimated = 84'210'000;
  progress.eta_ms = 1'020'000;
  progress.eta_low_ms = 900'000;
  progress.eta_high_ms = 1'260'000;
  view.progress = {{k_now - 1'000, progress}};
  return view;
}

Answers about(const MigrationView& view, const WaitingNow& waiting = {}) {
  return answers_about(view, k_now, waiting, {"full_name"});
}

std::string statuses(const Answers& answers) {
  std::string text;
  for (const PhaseView& phase : answers.phases) {
    text += phase.status + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("a migration at work says how far it is, and what comes after", "[answers]") {
  const Answers answers = about(backfilling(61.4));
  CHECK(answers.migration.level == "run");
  CHECK(answers.migration.lead == "Backfilling, 61.4%");
  CHECK(answers.migration.more == "51.7 M of about 84.2 M rows. About 17m00s left (15m00s to 21m00s).");
  CHECK(answers.next.lead == "Then verify");
  CHECK(answers.next.command == "ecmigrate verify 'plans/my plan.yaml'");
  CHECK(statuses(answers) == "done now todo you todo ");
  CHECK(answers.phases[4].facts == std::vector<std::string>{"drops full_name"});
  CHECK_FALSE(answers.notice);
  // Said aloud at quarters alone.
  CHECK(about(backfilling(61.4)).announce == about(backfilling(70)).announce);
  CHECK(about(backfilling(61.4)).announce != about(backfilling(75.1)).announce);
}

TEST_CASE("several relations are one percentage by their pages, and it is 100 only at the end", "[answers]") {
  MigrationView view = backfilling(50);
  view.walks.push_back({"users_2", 3'000, {}, false});
  CHECK(backfill_percent(view) == 12.5);
  view.walks[0].finished = true;
  CHECK(backfill_percent(view) == 25);
  view.walks[1].finished = true;
  CHECK(backfill_percent(view) == 99.9);
  view.state = State::backfilled;
  CHECK(backfill_percent(view) == 100);
  CHECK_FALSE(backfill_percent(migration(State::expanded)));
}

TEST_CASE("a pause says for how long and why, and how to allow more", "[answers]") {
  MigrationView view = backfilling(61.4);
  view.pauses = {
      {k_now - 200'000, std::nullopt, {{"replica_lag", "replica db2 is 4.1 s behind (limit 2.0 s)", 4'100, 2'000}}}};
  Answers answers = about(view);
  CHECK(answers.migration.level == "pause");
  CHECK(answers.migration.lead == "Paused at 61.4%");
  CHECK(answers.migration.more == "For 3m20s: replica db2 is 4.1 s behind (limit 2.0 s).");
  CHECK(answers.next.command == "ecmigrate set 'plans/my plan.yaml' max_replica_lag=4000ms");
  CHECK(answers.notice->level == "warn");
  CHECK(statuses(answers) == "done paused todo you todo ");

  view.steering.paused = true;
  view.steering.paused_by = "alice";
  view.pauses = {{k_now - 2'000, std::nullopt, {{"paused_by_user", "paused by alice"}}}};
  answers = about(view);
  CHECK(answers.next.command == "ecmigrate resume 'plans/my plan.yaml'");
  CHECK_FALSE(answers.notice);  // somebody wanted it so
}

TEST_CASE("a failure says what, that nothing is half done, who was in the way, and the command", "[answers]") {
  MigrationView view = migration(State::verified, run("contract", "lock_not_obtained"));
  view.run->message = "drop full_name: no lock on users within 5m";
  view.run->hint = "Run the same command again when they are gone.";
  view.last_blockers = {{4121, "report", "metabase", "client backend", "idle in transaction", 7'500'000, "select 1"}};
  const Answers answers = about(view);
  CHECK(answers.migration.level == "bad");
  CHECK(answers.migration.lead == "Contract got no lock");
  CHECK(answers.next.command == "ecmigrate contract 'plans/my plan.yaml'");
  REQUIRE(answers.notice);
  CHECK(answers.notice->title == "Contract ended with exit status 5 (lock_not_obtained)");
  CHECK(answers.notice->steps[0].command == "select pg_terminate_backend(4121);");
  CHECK(answers.notice->steps.back().command == "ecmigrate contract 'plans/my plan.yaml'");
  CHECK(statuses(answers) == "done done done you failed ");

  // Who stopped it on purpose is not told of a failure.
  const Answers stopped = about(migration(State::backfilling, run("backfill", "interrupted")));
  CHECK(stopped.migration.lead == "Backfill stopped");
  CHECK_FALSE(stopped.notice);
}

TEST_CASE("the dangerous step is never the next one without the release before it", "[answers]") {
  MigrationView view = migration(State::verified, run("verify", "done"));
  Answers answers = about(view);
  CHECK(answers.migration.lead == "Verified, waits for you");
  CHECK(answers.next.lead == "Release, then contract");
  CHECK(answers.next.more.find("When no instance of the old one runs") != std::string::npos);
  view.changed_at = k_now - 90'000'000;  // more than a day
  answers = about(view);
  CHECK(answers.next.command == "ecmigrate verify 'plans/my plan.yaml'");
}

TEST_CASE("a runner that is gone is told with the same command, and the target that it was given", "[answers]") {
  MigrationView view = backfilling(10);
  view.run->lost = true;
  view.run->seen_at = k_now - 252'000;
  view.run->target = "host=db1 dbname=shop";
  const Answers answers = about(view);
  CHECK(answers.migration.lead == "Runner lost at 10.0%");
  CHECK(answers.migration.more == "No sign of life from ops-1 (process 3121) for 4m12s.");
  CHECK(answers.next.command == "ecmigrate backfill 'plans/my plan.yaml' -d 'host=db1 dbname=shop'");
}

TEST_CASE("who waits for the migration comes first, then the longest wait it caused", "[answers]") {
  MigrationView view = backfilling(10);
  view.locks = {{"expand", "add", "users", "ACCESS EXCLUSIVE", 2, 501.6, 1.9, 3, 41, k_now}};
  CHECK(about(view).application.more == "Longest wait it has caused so far: 41.0 ms, 3 sessions, at expand.");
  const Answers waiting = about(view, {2, 1'500});
  CHECK(waiting.application.level == "bad");
  CHECK(waiting.application.lead == "2 sessions wait for the migration");
}

TEST_CASE("every state and outcome has an answer to each question, and a phase for each step", "[answers]") {
  for (std::size_t i = 0; i < k_state_names.size(); ++i) {
    for (const std::string& outcome : {std::string(), std::string("done"), std::string("failed"),
                                       std::string("refused"), std::string("work_remains")}) {
      for (const bool lost : {false, true}) {
        MigrationView view =
            migration(static_cast<State>(i), run("run", outcome.empty() ? std::nullopt : std::optional(outcome)));
        view.run->lost = lost && outcome.empty();
        const Answers answers = about(view);
        INFO(view.state_text << " " << outcome << " " << situation_name(situation_of(view)));
        CHECK_FALSE(answers.application.lead.empty());
        CHECK_FALSE(answers.migration.lead.empty());
        CHECK_FALSE(answers.next.lead.empty());
        CHECK_FALSE(answers.announce.empty());
        CHECK(answers.phases.size() == 5);
        const bool over = view.state == State::contracted;
        CHECK((answers.phases[3].status == "done") == over);
      }
    }
  }
}

TEST_CASE("instants are told in UTC, with the day where it is another one", "[answers]") {
  CHECK(utc_time(k_now + 120) == "2026-11-24T14:31:07.120Z");
  CHECK(clock_time(k_now, k_now) == "14:31:07");
  CHECK(clock_time(k_now - 86'400'000, k_now) == "23 Nov 14:31");
}
