#include "ecmigrate/pace/pace.hpp"

#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

std::vector<std::string> texts(const std::vector<PauseReason>& reasons) {
  std::vector<std::string> found;
  for (const PauseReason& reason : reasons) {
    INFO(reason.code);
    CHECK(std::ranges::find(k_pause_codes, reason.code) != k_pause_codes.end());
    found.push_back(reason.text);
  }
  return found;
}

}  // namespace

TEST_CASE("a budget is kept on average and not in bursts") {
  TokenBucket bucket(1000);
  double now = 0;
  double spent = 0;
  for (int i = 0; i < 100; ++i) {
    bucket.spend(now, 50);
    spent += 50;
    now += bucket.wait_ms(now) + 1;
  }
  CHECK(spent / now * 1000 <= 1060);
  CHECK(spent / now * 1000 >= 900);
  // An hour of rest saves up a quarter of a second, no more.
  now += 3'600'000;
  bucket.spend(now, 1250);
  CHECK(bucket.wait_ms(now) == Approx(1000));
}

TEST_CASE("no budget, no waiting") {
  TokenBucket bucket(0);
  bucket.spend(0, 1e12);
  CHECK(bucket.wait_ms(0) == 0);
}

TEST_CASE("a replica's lag is the age of the first WAL that it has not replayed") {
  PositionLag lag;
  lag.at(0, 100);
  lag.at(500, 200);
  lag.at(1000, 300);
  CHECK(lag.lag_ms(300) == 0);
  CHECK(lag.lag_ms(250) == 0);
  lag.at(7000, 300);
  // Nothing is written any more, and replay stands still: what is missing gets older.
  CHECK(lag.lag_ms(250) == 6000);
  CHECK(lag.lag_ms(150) == 6500);
}

TEST_CASE("what a lag remembers of a long run gets coarser, and is never told too short") {
  PositionLag lag;
  constexpr int k_readings = 1'000'000;  // half a day of them
  for (int i = 0; i < k_readings; ++i) {
    lag.at(50.0 * i, i);
  }
  CHECK(lag.lag_ms(k_readings - 1) == 0);
  for (int behind = 1; behind < k_readings; behind *= 2) {
    const double age = 50.0 * (behind - 1);  // of the first reading beyond
    const double told = lag.lag_ms(k_readings - 1 - behind);
    CHECK(told >= age);
    CHECK(told <= 1.1 * age);
  }
}

TEST_CASE("a lag does not change when the server's clock steps back") {
  PositionLag lag;
  lag.at(10'000, 1);
  lag.at(11'000, 2);
  lag.at(12'000, 3);
  CHECK(lag.lag_ms(1) == 1000);
  lag.at(5'000, 4);
  CHECK(lag.lag_ms(1) == 1000);
  lag.at(6'000, 4);
  CHECK(lag.lag_ms(1) == 2000);
}

TEST_CASE("a signal that tripped clears at four fifths of its limit") {
  LoadJudge judge;
  PaceLimits limits;
  limits.max_waiting_sessions = 10;
  LoadReading reading;
  reading.waiting_sessions = 10;
  CHECK(judge.reasons(reading, limits).empty());
  reading.waiting_sessions = 11;
  CHECK(judge.reasons(reading, limits).size() == 1);
  reading.waiting_sessions = 9;
  CHECK(judge.reasons(reading, limits).size() == 1);
  reading.waiting_sessions = 8;
  CHECK(judge.reasons(reading, limits).empty());
  reading.waiting_sessions = 9;
  CHECK(judge.reasons(reading, limits).empty());
}

TEST_CASE("every signal gives its reason, and all that hold are told") {
  LoadJudge judge;
  PaceLimits limits;
  limits.replicas = 2;
  LoadReading reading;
  reading.wal_position = 1000;
  reading.replicas = {{"db2", true, 1000.0}, {"db3", false, std::nullopt}};
  reading.archiver_failing = true;
  reading.endangered_slot = "cdc";
  reading.wraparound_vacuum = true;
  reading.paused_by_user = true;
  reading.paused_by = "dba";
  reading.pause_query_says_stop = true;
  reading.waiting_sessions = 6;
  const std::vector<std::string> expected{
      "paused by dba",
      "replica db3 cannot be watched: grant pg_monitor, or set max_replica_lag to 0",
      "1 of 2 replicas are connected",
      "6 sessions wait for the backfill's locks",
      "WAL archiving fails (see pg_stat_archiver)",
      "replication slot cdc is about to lose WAL it needs",
      "autovacuum works on the table to prevent wraparound",
      "pause_query says so"};
  CHECK(texts(judge.reasons(reading, limits)) == expected);
}

TEST_CASE("signals that are off by default have limits, and say what they saw") {
  LoadJudge judge;
  PaceLimits limits;
  LoadReading reading;
  reading.sees_sessions = false;
  reading.active_sessions = 9;
  reading.commit_ms = 120;
  reading.oldest_snapshot = SnapshotHolder{"pid 812 ann@psql, idle in transaction", 252'000};
  reading.archive_queue = 43;
  CHECK(judge.reasons(reading, limits).empty());
  limits.max_active_sessions = 8;
  limits.max_commit_latency = std::chrono::milliseconds(100);
  limits.max_snapshot_age = std::chrono::minutes(1);
  limits.max_archive_queue = 42;
  reading.next_window = "Mon 22:00 UTC";
  const std::string dark =
      "other users' sessions cannot be watched: grant pg_monitor, or set max_active_sessions and max_snapshot_age to 0";
  CHECK(texts(judge.reasons(reading, limits)) ==
        std::vector<std::string>{"outside the windows; the next begins Mon 22:00 UTC", dark,
                                 "a commit takes 120 ms (limit 100 ms)",
                                 "43 WAL files wait to be archived (limit 42)"});
  reading.sees_sessions = true;
  reading.archive_queue.reset();
  reading.next_window.reset();
  reading.commit_ms = 81;  // above four fifths
  CHECK(texts(judge.reasons(reading, limits)) ==
        std::vector<std::string>{
            "9 sessions are active (limit 8)",
            "a snapshot 4m12s old keeps dead rows (limit 1m00s): pid 812 ann@psql, idle in transaction",
            "a commit takes 81.0 ms (limit 100 ms)",
            "the archive's queue cannot be read: grant pg_monitor, or set max_archive_queue to 0"});
  limits.max_commit_latency = {};
  limits.max_snapshot_age = {};
  limits.max_active_sessions = 0;
  limits.max_archive_queue = 0;
  CHECK(judge.reasons(reading, limits).empty());
}

TEST_CASE("above an abort limit the work ends, and it says which") {
  LoadJudge judge;
  PaceLimits limits;
  LoadReading reading;
  reading.replicas = {{"db2", true, 0.0}};
  reading.wal_position = 100;
  judge.reasons(reading, limits);
  reading.now_ms = 5000;
  reading.active_sessions = 20;
  reading.commit_ms = 300;
  judge.reasons(reading, limits);
  CHECK_FALSE(judge.abort_reason(reading, limits));
  limits.abort_replica_lag = std::chrono::seconds(5);
  limits.abort_active_sessions = 20;
  limits.abort_commit_latency = std::chrono::milliseconds(300);
  CHECK_FALSE(judge.abort_reason(reading, limits));
  limits.abort_commit_latency = std::chrono::milliseconds(299);
  CHECK(judge.abort_reason(reading, limits) == "a commit takes 300 ms (abort_commit_latency 299 ms)");
  limits.abort_active_sessions = 19;
  CHECK(judge.abort_reason(reading, limits) == "20 sessions are active (abort_active_sessions 19)");
  limits.abort_replica_lag = std::chrono::milliseconds(4999);
  CHECK(judge.abort_reason(reading, limits) == "replica db2 is 5.0 s behind (abort_replica_lag 5.0 s)");
  reading.abort_query_says_stop = true;
  CHECK(judge.abort_reason(reading, {}) == "abort_query says so");
}

TEST_CASE("a throttle rests for its share of the time, and a change counts at once") {
  Throttle throttle;
  throttle.batch_took(1000, 50);
  CHECK(throttle.wait_ms(1000) == 0);
  throttle.set_ratio(0.5);
  CHECK(throttle.wait_ms(1000) == Approx(50));
  CHECK(throttle.wait_ms(1030) == Approx(20));
  CHECK(throttle.wait_ms(1060) == 0);
  throttle.set_ratio(0.9);
  CHECK(throttle.wait_ms(1000) == Approx(450));
  throttle.set_ratio(0);
  CHECK(throttle.wait_ms(1000) == 0);
}

TEST_CASE("windows are read from text, and a wrong one says what is right") {
  std::vector<Window> windows;
  CHECK(parse_windows("22:00-06:00 Europe/Berlin, Sat,Sun 00:00-24:00, Fri-Mon 12:30-13:00 UTC", windows).empty());
  REQUIRE(windows.size() == 3);
  CHECK((windows[0].days == 0x7F && windows[0].from == 22 * 60 && windows[0].to == 30 * 60 &&
         windows[0].zone == "Europe/Berlin"));
  CHECK((windows[1].days == 0b1100000 && windows[1].from == 0 && windows[1].to == 24 * 60 && windows[1].zone.empty()));
  CHECK((windows[2].days == 0b1110001 && windows[2].from == 750 && windows[2].to == 780 && windows[2].zone == "UTC"));
  const std::string write = "; write 22:00-06:00 Europe/Berlin, or Sat,Sun 00:00-24:00";
  for (const std::string wrong :
       {"22:00", "22-06", "22:00-06:60", "24:00-06:00", "22:00-24:01", "9:00-10:00", "22:00-06:00 Europe Berlin",
        "Son 22:00-06:00", "Fr-Sat 22:00-06:00", "Mon 22:00 - 06:00"}) {
    CHECK(parse_windows(wrong, windows) == "\"" + wrong + "\" is not a window" + write);
  }
  CHECK(parse_windows("22:00-06:00,,", windows) == "\"\" is not a window" + write);
  CHECK(parse_windows("09:00-09:00", windows) == "\"09:00-09:00\" ends when it begins" + write);
  CHECK(parse_windows("Sat,Sun", windows) == "\"Sat,Sun\" has days without a time" + write);
  CHECK(windows.size() == 3);
  CHECK(parse_windows("", windows).empty());
  CHECK(windows.empty());
}

TEST_CASE("every limit can be set from text") {
  PaceLimits limits;
  for (const PaceLimitName& limit : k_pace_limits) {
    INFO(limit.name);
    CHECK(set_limit(limits, limit.name, "nonsense").find("there is no limit") == std::string::npos);
  }
  CHECK(set_limit(limits, "max_commit_latency", "100ms").empty());
  CHECK(limits.max_commit_latency == std::chrono::milliseconds(100));
  CHECK(set_limit(limits, "windows", "22:00-06:00").empty());
  CHECK(limits.windows.size() == 1);
}

TEST_CASE("a replica that stands still pauses the work and lets it go on when it has caught up") {
  LoadJudge judge;
  PaceLimits limits;
  LoadReading reading;
  reading.replicas = {{"db2", true, 0.0}};
  for (int i = 1; i <= 4; ++i) {
    reading.now_ms = i * 500;
    reading.wal_position = i * 100;
    CHECK(judge.reasons(reading, limits).empty());
  }
  reading.now_ms = 2600;
  const std::vector<PauseReason> reasons = judge.reasons(reading, limits);
  CHECK(texts(reasons) == std::vector<std::string>{"replica db2 is 2.1 s behind (limit 2.0 s)"});
  CHECK(reasons == std::vector<PauseReason>{{"replica_lag", reasons.front().text, 2100, 2000}});
  reading.replicas[0].replayed = 400;
  CHECK(judge.reasons(reading, limits).empty());
}

TEST_CASE("limits are set from text, and a wrong one says what is right") {
  PaceLimits limits;
  CHECK(set_limit(limits, "max_wal_rate", "8MB") == "\"8MB\" is not a rate; write 8MB/s");
  CHECK(set_limit(limits, "max_wal_rate", "8MB/s").empty());
  CHECK(limits.max_wal_rate == 8.0 * 1024 * 1024);
  CHECK(set_limit(limits, "replicas", "2").empty());
  CHECK(limits.replicas == 2);
  CHECK(set_limit(limits, "max_wal_rate", "8") == "\"8\" is not a rate; write 64MB/s");
  CHECK(set_limit(limits, "target_batch", "0ms") == "\"0ms\" is not a duration above 0; write 50ms, 2s or 1m");
  CHECK(set_limit(limits, "replicas", "-1") == "\"-1\" is not a whole number from 0");
  CHECK(set_limit(limits, "max_wal_rat", "8MB/s") ==
        "there is no limit \"max_wal_rat\": did you mean \"max_wal_rate\"?");
  CHECK(limits.max_wal_rate == 8.0 * 1024 * 1024);
}
