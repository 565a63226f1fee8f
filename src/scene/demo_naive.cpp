#include "demo_naive.hpp"

#include <fmt/format.h>

#include "demo_database.hpp"
#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/probe.hpp"
#include "naive.hpp"
#include "side_observer.hpp"

namespace ecmigrate::scene {

namespace {

/// The traffic alone, before and after.
constexpr std::chrono::milliseconds k_before{3'000};
constexpr std::chrono::milliseconds k_after{5'000};

void wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  system_clock().sleep(time, stop);
  if (stop.stop_requested()) {
    throw pg::Stopped();
  }
}

/// The demo's plan, for the copy.
Plan plan_for_copy(std::string text) {
  const std::string table = "table: users";
  text.replace(text.find(table), table.size(), fmt::format("table: {}", k_naive_table));
  return parse_plan(text, "the naive way");
}

NaiveWay way_for_copy(pg::Connection& connection, const Plan& plan) {
  const Catalog catalog = read_catalog(connection, plan);
  Draft draft = draft_plan(plan, catalog);
  probe_expressions(connection, draft);
  const Recipe recipe = ecmigrate::compile(draft);
  return naive_way(draft, recipe);
}

/// No application is left on a copy that goes.
class Ended {
 public:
  explicit Ended(DemoTraffic& traffic) : m_traffic(traffic) {}
  ~Ended() { m_traffic.stop(); }
  Ended(const Ended&) = delete;
  Ended& operator=(const Ended&) = delete;

 private:
  DemoTraffic& m_traffic;
};

}  // namespace

std::pair<std::int64_t, std::int64_t> bytes_of(pg::Connection& connection, const std::string& table) {
  const pg::Rows rows = connection.query("select pg_table_size($1::regclass), pg_indexes_size($1::regclass)", {table});
  return {rows.integer(0, 0), rows.integer(0, 1)};
}

double wal_position(pg::Connection& connection) {
  return connection.query("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").number(0, 0);
}

Strip strip_of_naive(const DemoTraffic& traffic, std::optional<Instant> committed) {
  Strip strip = strip_of(traffic);
  strip.naive = true;
  const auto gap = static_cast<Instant>(traffic.stats().longest_gap_ms);
  if (committed && gap >= k_slow.count()) {
    strip.gap = {*committed - gap, *committed};
  }
  return strip;
}

NaiveScene run_naive_scene(const std::string& conninfo, const std::string& plan_text, DemoTraffic& traffic,
                           const NaiveListener& listener, const std::stop_token& stop) {
  pg::Connection connection({conninfo, "ecmigrate demo, naive", nullptr});
  connection.cancel_on_stop(stop);
  copy_users(connection);
  const Plan plan = plan_for_copy(plan_text);
  const NaiveWay way = way_for_copy(connection, plan);
  NaiveScene scene;
  scene.rows = connection.query(fmt::format("select count(*) from public.{}", k_naive_table)).integer(0, 0);
  scene.server = connection.query("select split_part(current_setting('server_version'), ' ', 1)").text(0, 0);
  Side& side = scene.side;
  std::tie(side.table_bytes_before, side.index_bytes_before) = bytes_of(connection, k_naive_table);
  {
    const Ended ended(traffic);
    traffic.serve(conninfo, {Shape::old_shape});
    wait(k_before, stop);
    const double wal = wal_position(connection);
    listener.begins();
    NaiveRun run = run_naive(
        conninfo, way, [&] { traffic.serve(conninfo, {Shape::new_shape}); }, stop);
    const Instant committed = wall_clock();
    listener.committed();
    side.wal_bytes = wal_position(connection) - wal;
    side.duration_ms = run.duration_ms;
    side.rows_per_second = static_cast<double>(scene.rows) * 1000 / std::max(1.0, run.fill_ms);
    side.locks = std::move(run.locks);
    side.statements = std::move(run.statements);
    wait(k_after, stop);
    scene.strip = strip_of_naive(traffic, committed);  // rates are of a traffic that runs
  }
  add_traffic(side, traffic.stats());
  std::tie(side.table_bytes_after, side.index_bytes_after) = bytes_of(connection, k_naive_table);
  drop_copy(connection);
  return scene;
}

}  // namespace ecmigrate::scene
