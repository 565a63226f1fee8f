#include "ecmigrate/fill/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/fill/walk.hpp"

namespace ecmigrate {

namespace {

constexpr int k_most_shown = 20;
/// Reads disturb nobody, so batches may be longer than the backfill's; short enough not to hold back VACUUM.
constexpr double k_batch_ms = 200;
constexpr std::int64_t k_first_batch_pages = 256;
constexpr std::int64_t k_most_batch_pages = 65'536;
constexpr std::chrono::milliseconds k_report_every{250};
constexpr std::string_view k_now = "extract(epoch from clock_timestamp()) * 1000";

class Verification {
 public:
  Verification(Session& session, const SyncedTable& table, const QualifiedName& relation, bool replace_replication_role)
      : m_session(session),
        m_table(table),
        m_relation(relation),
        m_replace_role(replace_replication_role),
        m_sizer(k_batch_ms, k_first_batch_pages, k_most_batch_pages) {}

  event::VerifyFinished run() {
    const auto begin = m_session.clock().now();
    m_result.relation = m_relation.display();
    const pg::Rows size = m_session.connection().query(
        "select pg_catalog.pg_relation_size($1::pg_catalog.regclass) / current_setting('block_size')::bigint, "
        "(select greatest(reltuples, 0) from pg_catalog.pg_class where oid = $1::pg_catalog.regclass)",
        {m_relation.sql()});
    m_pages = size.integer(0, 0);
    m_estimated = static_cast<std::int64_t>(size.number(0, 1));
    for (std::int64_t page = 0; page < m_pages;) {
      m_session.check_stop();
      const std::int64_t to = std::min(m_pages, page + m_sizer.pages());
      batch(page, to);
      page = to;
      progress(begin, page);
    }
    m_result.duration_ms = static_cast<double>((m_session.clock().now() - begin).count());
    m_session.report(m_result);
    return m_result;
  }

 private:
  void batch(std::int64_t from, std::int64_t to) {
    std::string counts = "count(*)";
    for (const SyncedMapping& mapping : m_table.mappings) {
      counts += fmt::format(", count(*) filter (where {})", mapping.pending);
      counts += mapping.inconsistent.empty() ? std::string(", 0")
                                             : fmt::format(", count(*) filter (where {})", mapping.inconsistent);
    }
    const auto results = m_session.connection().script(
        fmt::format("begin read only; select {0}; select {1} from {2} as this where {3}; select {0}; commit", k_now,
                    counts, m_relation.sql(), page_range(from, to)));
    m_sizer.batch_took(results.at(2).number(0, 0) - results.at(0).number(0, 0));
    m_result.rows += results.at(1).integer(0, 0);
    for (std::size_t i = 0; i < m_table.mappings.size(); ++i) {
      const auto column = static_cast<int>(1 + 2 * i);
      const SyncedMapping& mapping = m_table.mappings[i];
      const auto& options = m_session.options();
      found(mapping, "pending", mapping.pending, results.at(1).integer(0, column), m_result.pending, from, to,
            options.repair_pending ? mapping.fill : std::string());
      found(mapping, "inconsistent", mapping.inconsistent, results.at(1).integer(0, column + 1), m_result.inconsistent,
            from, to,
            options.repair == RunOptions::Side::old_columns   ? mapping.fill
            : options.repair == RunOptions::Side::new_columns ? mapping.old_from_new
                                                              : std::string());
    }
  }

  void found(const SyncedMapping& mapping, const std::string& kind, const std::string& condition, std::int64_t count,
             std::int64_t& total, std::int64_t from, std::int64_t to, const std::string& repair) {
    if (count == 0) {
      return;
    }
    total += count;
    if (m_shown < k_most_shown) {
      show(mapping, kind, condition, from, to);
    }
    if (!repair.empty()) {
      const auto results = m_session.connection().script(
          // A row that stays locked fails the repair, which can be run again, rather than have us in a queue or a
          // deadlock.
          fmt::format("begin; set local ecmigrate.fill = 'on'; set local lock_timeout = '500ms'; {}update {} as this "
                      "set {} where {} and {}; commit",
                      m_replace_role && !has_foreign_keys() ? "set local session_replication_role = replica; "
                      : m_table.user_update_triggers        ? "set local search_path to default; "
                                                            : "",
                      m_relation.sql(), repair, page_range(from, to), condition));
      m_result.repaired += results.front().affected();
    }
  }

  /// A replica's writes are not held to foreign keys, and these may have been validated already.
  bool has_foreign_keys() {
    return m_session.connection()
        .query(
            "select exists (select from pg_catalog.pg_constraint where conrelid = $1::pg_catalog.regclass and contype "
            "= 'f')",
            {m_relation.sql()})
        .boolean(0, 0);
  }

  static std::string values(const std::vector<std::string>& columns) {
    std::vector<std::string> terms;
    for (const std::string& column : columns) {
      terms.push_back(fmt::format("{} || coalesce(quote_literal(left(this.{}::text, 200)), 'null')",
                                  quote_literal(column + "="), quote_identifier(column)));
    }
    return terms.empty() ? std::string("''") : join(terms, " || ', ' || ");
  }

  void show(const SyncedMapping& mapping, const std::string& kind, const std::string& condition, std::int64_t from,
            std::int64_t to) {
    const pg::Rows rows = m_session.connection().query(fmt::format(
        "select {}, {}, {} from {} as this where {} and {} limit {}", row_key(m_table.key), values(mapping.old_columns),
        values(mapping.new_columns), m_relation.sql(), page_range(from, to), condition, k_most_shown - m_shown));
    for (int row = 0; row < rows.size(); ++row) {
      m_session.report(
          event::Difference{m_relation.display(), rows.text(row, 0), kind, rows.text(row, 1), rows.text(row, 2)});
    }
    m_shown += rows.size();
  }

  void progress(std::chrono::milliseconds begin, std::int64_t page) {
    const auto now = m_session.clock().now();
    const double part = static_cast<double>(page) / static_cast<double>(m_pages);
    m_eta.at(static_cast<double>(now.count()), part);
    if (page < m_pages && now - m_reported < k_report_every) {
      return;
    }
    m_reported = now;
    event::Progress progress;
    progress.phase = "verify";
    progress.relation = m_relation.display();
    progress.percent = 100 * part;
    progress.rows = m_result.rows;
    progress.rows_estimated = std::max(m_estimated, m_result.rows);
    progress.rows_per_second =
        static_cast<double>(m_result.rows) / std::max(0.001, static_cast<double>((now - begin).count()) / 1000);
    if (const auto eta = m_eta.estimate()) {
      progress.eta_ms = eta->likely_ms;
      progress.eta_low_ms = eta->low_ms;
      progress.eta_high_ms = eta->high_ms;
    }
    m_session.report(progress);
  }

  Session& m_session;
  const SyncedTable& m_table;
  const QualifiedName& m_relation;
  bool m_replace_role;
  BatchSizer m_sizer;
  Eta m_eta;
  event::VerifyFinished m_result;
  std::int64_t m_pages = 0;
  std::int64_t m_estimated = 0;
  std::chrono::milliseconds m_reported{0};
  int m_shown = 0;
};

}  // namespace

event::VerifyFinished verify_relation(Session& session, const SyncedTable& table, const QualifiedName& relation,
                                      bool replace_replication_role) {
  return Verification(session, table, relation, replace_replication_role).run();
}

}  // namespace ecmigrate
