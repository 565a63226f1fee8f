#include "ecmigrate/scene/compare.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/store/catalog_reader.hpp"
#include "ecmigrate/store/probe.hpp"
#include "scratch.hpp"
#include "sides.hpp"

namespace ecmigrate::scene {

namespace {

/// What the plan means for the tables of one size.
struct Study {
  std::shared_ptr<const std::vector<AppTable>> tables;
  NaiveWay naive;
  std::string relations;
  std::string server;
  std::int64_t rows = 0;
};

class Comparing {
 public:
  Comparing(const Plan& plan, const CompareOptions& options, Observer& observer, std::stop_token stop)
      : m_plan(plan), m_options(options), m_observer(observer), m_stop(std::move(stop)), m_scratch(make_scratch()) {}

  Comparison run() {
    m_result.at = utc_time(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    m_result.plan = m_plan.name;
    m_result.requests_per_second = m_options.requests_per_second;
    m_result.application_timeout_ms = static_cast<double>(k_application_timeout.count());
    std::vector<std::int64_t> sizes = m_options.sizes;
    std::ranges::sort(sizes);
    if (sizes.empty()) {
      compare_tables();
      queue_behind_reader();
    }
    for (const std::int64_t rows : sizes) {
      note(fmt::format("loading {} users", with_thousands(rows)));
      m_scratch->load_sample(rows);
      compare_tables();
      if (rows == sizes.front()) {
        queue_behind_reader();  // how long the queue is does not depend on the size
      }
    }
    return std::move(m_result);
  }

 private:
  [[nodiscard]] std::unique_ptr<Scratch> make_scratch() {
    if (!m_options.scratch.empty()) {
      return std::make_unique<Scratch>(m_options.scratch, m_stop);
    }
    note("starting a PostgreSQL server for the comparison");
    return std::make_unique<Scratch>(m_stop);
  }

  void note(const std::string& text) { m_observer.on(event::Note{event::Note::Level::info, text}); }

  [[nodiscard]] Study study() {
    pg::Connection connection({m_scratch->copy(), "ecmigrate compare", nullptr});
    connection.cancel_on_stop(m_stop);
    const Catalog catalog = read_catalog(connection, m_plan);
    Draft draft = draft_plan(m_plan, catalog);
    probe_expressions(connection, draft);
    const Recipe recipe = ecmigrate::compile(draft);
    Study study;
    study.tables = std::make_shared<const std::vector<AppTable>>(app_tables(connection, draft, recipe));
    study.naive = naive_way(draft, recipe);
    for (const TableDraft& table : draft.tables()) {
      study.relations += (study.relations.empty() ? "" : ", ") + table.table->name.display();
    }
    for (const AppTable& table : *study.tables) {
      study.rows += table.row_count;
    }
    study.server = connection.query("select split_part(current_setting('server_version'), ' ', 1)").text(0, 0);
    return study;
  }

  [[nodiscard]] Setting setting(bool reader) const { return {m_plan, m_study.tables, m_options, m_stop, reader}; }

  void compare_tables() {
    m_study = study();
    m_result.table = m_study.relations;
    m_result.server = m_study.server;
    m_result.rows = m_study.rows;
    m_result.no_naive = m_study.naive.why_not;
    note(fmt::format("{} rows of {}: expand, backfill, verify, contract under {:g} requests/s",
                     with_thousands(m_study.rows), m_study.relations, m_options.requests_per_second));
    m_result.expand_contract = run_expand_contract(setting(false), m_scratch->copy());
    SizeRow size{m_study.rows, held(m_result.expand_contract, "expand"), held(m_result.expand_contract, "contract"),
                 std::nullopt};
    if (m_study.naive.why_not.empty()) {
      note(fmt::format("{} rows of {}: the naive way under the same requests", with_thousands(m_study.rows),
                       m_study.relations));
      m_result.naive = run_naive_side(setting(false), m_study.naive, m_scratch->copy());
      size.naive_held_ms = held(*m_result.naive, "naive");
    } else {
      note("no naive way: " + m_study.naive.why_not);
    }
    m_result.sizes.push_back(size);
  }

  void queue_behind_reader() {
    if (!m_study.naive.why_not.empty() || !m_study.naive.stops_reads) {
      return;
    }
    note(fmt::format("both ways again beside a transaction that has read {} and stays open for {}", m_study.relations,
                     format_milliseconds(static_cast<double>(k_reader.count()))));
    Comparison::LockQueue queue;
    queue.rows = m_study.rows;
    queue.reader_ms = static_cast<double>(k_reader.count());
    queue.expand_contract = run_expand_contract(setting(true), m_scratch->copy());
    queue.naive = run_naive_side(setting(true), m_study.naive, m_scratch->copy());
    m_result.lock_queue = std::move(queue);
  }

  /// The longest lock of a phase that stops reads or writes.
  static double held(const Side& side, const std::string& phase) {
    double longest = 0;
    for (const LockTime& lock : side.locks) {
      if (lock.phase == phase && stopped_by(lock.mode) != "nothing") {
        longest = std::max(longest, lock.held_ms);
      }
    }
    return longest;
  }

  const Plan& m_plan;
  const CompareOptions& m_options;
  Observer& m_observer;
  std::stop_token m_stop;
  std::unique_ptr<Scratch> m_scratch;
  Study m_study;
  Comparison m_result;
};

}  // namespace

Comparison compare(const Plan& plan, const CompareOptions& options, Observer& observer, std::stop_token stop) {
  return Comparing(plan, options, observer, std::move(stop)).run();
}

}  // namespace ecmigrate::scene
