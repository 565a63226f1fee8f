#include "sides.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "ecmigrate/base/clock.hpp"
#include "ecmigrate/phases/migration.hpp"
#include "ecmigrate/report/answers.hpp"
#include "side_observer.hpp"

namespace ecmigrate::scene {

namespace {

/// The traffic alone, before and after the migration, and where a team would look before it goes on.
constexpr std::chrono::milliseconds k_beside{2'000};
constexpr std::chrono::milliseconds k_between{1'000};

void wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  system_clock().sleep(time, stop);
  if (stop.stop_requested()) {
    throw pg::Stopped();
  }
}

/// A report, say: a transaction that has read the table and stays open for a while.
class Reader {
 public:
  Reader(const std::string& conninfo, const std::string& table, std::chrono::milliseconds time)
      : m_connection(std::make_unique<pg::Connection>(pg::Target{conninfo, "report", nullptr})) {
    m_connection->script("begin; select from " + table + " limit 1");
    m_thread = std::jthread([this, time](const std::stop_token& stop) {
      system_clock().sleep(time, stop);
      m_connection.reset();
    });
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  std::unique_ptr<pg::Connection> m_connection;
  std::jthread m_thread;
};

/// The traffic and the figures of one side.
class Stage {
 public:
  Stage(const Setting& setting, const std::string& conninfo)
      : m_setting(setting),
        m_conninfo(conninfo),
        m_connection({conninfo, "ecmigrate compare", nullptr}),
        m_traffic(options(setting), connect(setting, conninfo)) {
    m_connection.cancel_on_stop(setting.stop);
    read_sizes(m_side.table_bytes_before, m_side.index_bytes_before);
  }

  [[nodiscard]] Traffic& traffic() { return m_traffic; }
  [[nodiscard]] Side& side() { return m_side; }

  /// Keeps the reader for as long as it is needed, if the setting has one.
  [[nodiscard]] std::optional<Reader> reader() const {
    return m_setting.reader ? std::make_optional<Reader>(m_conninfo, m_setting.tables->front().table, k_reader)
                            : std::nullopt;
  }

  template <typename Work>
  Side run(const Work& work) {
    m_traffic.start();
    wait(k_beside, m_setting.stop);
    const double wal = wal_position();
    const auto begin = SteadyClock::now();
    work();
    m_side.duration_ms = std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count();
    m_side.wal_bytes = wal_position() - wal;
    wait(k_beside, m_setting.stop);
    m_traffic.stop();
    read_sizes(m_side.table_bytes_after, m_side.index_bytes_after);
    add_traffic(m_side, m_traffic.stats());
    return std::move(m_side);
  }

 private:
  static TrafficOptions options(const Setting& setting) {
    TrafficOptions options;
    options.rate = setting.options.requests_per_second;
    options.timeout = k_application_timeout;
    return options;
  }

  static MakeClient connect(const Setting& setting, const std::string& conninfo) {
    return [&setting, conninfo, connections = TrafficOptions().connections](int number) {
      return connect_to_tables(conninfo, setting.tables, number, connections);
    };
  }

  double wal_position() {
    return m_connection.query("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").number(0, 0);
  }

  void read_sizes(std::int64_t& table_bytes, std::int64_t& index_bytes) {
    for (const AppTable& table : *m_setting.tables) {
      const pg::Rows rows = m_connection.query(
          "select sum(pg_table_size(part)), sum(pg_indexes_size(part)) from (select relid as part from "
          "pg_partition_tree($1::regclass) union select $1::regclass) parts",
          {table.table});
      table_bytes += rows.integer(0, 0);
      index_bytes += rows.integer(0, 1);
    }
  }

  const Setting& m_setting;
  std::string m_conninfo;
  pg::Connection m_connection;
  Traffic m_traffic;
  Side m_side;
};

/// As the command of that name runs it.
void run_phase(const Setting& setting, const std::string& conninfo, Observer& observer, const std::string& command,
               void (Migration::*phase)()) {
  RunOptions options;
  options.pace = setting.plan.backfill;
  options.accept_drop = setting.options.accept_drop;
  Session session({conninfo, "ecmigrate " + command, nullptr}, options, observer, system_clock(), setting.stop);
  Migration migration(session, setting.plan);
  (migration.*phase)();
}

}  // namespace

Side run_expand_contract(const Setting& setting, const std::string& conninfo) {
  Stage stage(setting, conninfo);
  SideObserver observer(stage.side());
  Traffic& traffic = stage.traffic();
  return stage.run([&] {
    {
      const auto reader = stage.reader();
      run_phase(setting, conninfo, observer, "expand", &Migration::expand);
    }
    traffic.serve({Shape::old_shape, Shape::new_shape});  // the new version is rolled out beside the old one
    wait(k_between, setting.stop);
    run_phase(setting, conninfo, observer, "backfill", &Migration::backfill);
    run_phase(setting, conninfo, observer, "verify", &Migration::verify);
    traffic.serve({Shape::new_shape});
    traffic.drain(Shape::old_shape);  // the last instance of the old version has ended
    wait(k_between, setting.stop);
    const auto reader = stage.reader();
    run_phase(setting, conninfo, observer, "contract", &Migration::contract);
  });
}

Side run_naive_side(const Setting& setting, const NaiveWay& way, const std::string& conninfo) {
  Stage stage(setting, conninfo);
  return stage.run([&] {
    const auto reader = stage.reader();
    NaiveRun run = run_naive(
        conninfo, way, [&] { stage.traffic().serve({Shape::new_shape}); }, setting.stop);
    double rows = 0;
    for (const AppTable& table : *setting.tables) {
      rows += static_cast<double>(table.row_count);
    }
    stage.side().locks = std::move(run.locks);
    stage.side().statements = std::move(run.statements);
    if (run.fill_ms > 0) {
      stage.side().rows_per_second = rows * 1000 / run.fill_ms;
    }
  });
}

}  // namespace ecmigrate::scene
