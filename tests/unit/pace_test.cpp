#include "ecmigrate/engine/pace.hpp"

#include "support/catch.hpp"

using namespace ecmigrate;

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
  ReplicaLag lag;
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
  const std::vector<std::string> expected{"paused by dba",
                                          "replica db3 cannot be watched: grant pg_monitor, or set max_replica_lag to 0",
                                          "1 of 2 replicas are connected",
                                          "6 sessions wait for the backfill's locks",
                                          "WAL archiving fails (see pg_stat_archiver)",
                                          "replication slot cdc is about to lose WAL it needs",
                                          "autovacuum works on the table to prevent wraparound",
                                          "the plan's pause_query says so"};
  CHECK(judge.reasons(reading, limits) == expected);
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
  CHECK(judge.reasons(reading, limits) == std::vector<std::string>{"replica db2 is 2.1 s behind (limit 2.0 s)"});
  reading.replicas[0].replayed = 400;
  CHECK(judge.reasons(reading, limits).empty());
}

TEST_CASE("limits are set from text, and a wrong one says what is right") {
  PaceLimits limits;
  CHECK(set_limit(limits, "max_wal_rate", "8MB/s").empty());
  CHECK(limits.max_wal_rate == 8.0 * 1024 * 1024);
  CHECK(set_limit(limits, "replicas", "2").empty());
  CHECK(limits.replicas == 2);
  CHECK(set_limit(limits, "max_wal_rate", "8") == "\"8\" is not a rate; write 64MB/s");
  CHECK(set_limit(limits, "target_batch", "0ms") == "\"0ms\" is not a duration above 0; write 50ms, 2s or 1m");
  CHECK(set_limit(limits, "replicas", "-1") == "\"-1\" is not a whole number from 0");
  CHECK(set_limit(limits, "max_wal_rat", "8MB/s") == "there is no limit \"max_wal_rat\": did you mean \"max_wal_rate\"?");
  CHECK(limits.max_wal_rate == 8.0 * 1024 * 1024);
}
