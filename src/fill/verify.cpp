#include "ecmigrate/fill/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/fill/walk.hpp"
#include "repair.hpp"

namespace ecmigrate {

namespace {

constexpr int k_most_shown = 20;
/// Reads disturb nobody, so batches may be longer than the backfill's; short enough not to hold back VACUUM.
constexpr double k_batch_ms = 200;
constexpr double k_first_batch_pages = 256;
constexpr double k_most_batch_pages = 65'536;
constexpr std::chrono::milliseconds k_report_every{250};
constexpr std::string_view k_now = "extract(epoch from clock_timestamp()) * 1000";

/// What one look at every row found.
struct Look {
  std::int64_t rows = 0;
  struct Kind {
    std::int64_t found = 0;
    std::int64_t written = 0;  ///< by the repair
  };
  Kind pending, inconsistent;
  bool repaired = false;  ///< a repair was tried
};

/// Of what was found and written, what is neither left nor right without us: a client may have filled a row meanwhile,
/// and a trigger may have undone what was written.
std::int64_t mended(const Look::Kind& before, const Look::Kind& after) {
  return std::min(before.written, std::max<std::int64_t>(0, before.found - after.found));
}

class Verification {
 public:
  Verification(Session& session, const SyncedTable& table, const QualifiedName& relation, bool replace_replication_role)
      : m_session(session),
        m_table(table),
        m_relation(relation),
        m_repair(session, m_relation, replace_replication_role),
        m_sizer(k_batch_ms, k_first_batch_pages, k_most_batch_pages) {}

  event::VerifyFinished run() {
    const auto begin = m_session.clock().now();
    event::VerifyFinished result;
    result.relation = m_relation.display();
    const Look first = look(true);
    // A repaired row may have moved anywhere, and a trigger of the table may have changed it again.
    const Look last = first.repaired ? look(false) : first;
    result.rows = last.rows;
    result.pending = last.pending.found;
    result.inconsistent = last.inconsistent.found;
    if (first.repaired) {
      const std::int64_t pending = mended(first.pending, last.pending);
      const std::int64_t inconsistent = mended(first.inconsistent, last.inconsistent);
      result.pending += pending;
      result.inconsistent += inconsistent;
      result.repaired = pending + inconsistent;
    }
    result.duration_ms = static_cast<double>((m_session.clock().now() - begin).count());
    m_session.report(result);
    return result;
  }

 private:
  struct Size {
    std::int64_t pages = 0;
    std::int64_t rows = 0;
  };
  Size size() {
    const pg::Rows size = m_session.connection().query(
        "select pg_catalog.pg_relation_size($1::pg_catalog.regclass) / current_setting('block_size')::bigint, "
        "(select greatest(reltuples, 0) from pg_catalog.pg_class where oid = $1::pg_catalog.regclass)",
        {m_relation.sql()});
    return {size.integer(0, 0), static_cast<std::int64_t>(size.number(0, 1))};
  }

  Look look(bool repair) {
    m_look = {};
    m_shown = 0;
    m_eta = {};
    m_begin = m_session.clock().now();
    const Size before = size();
    m_pages = before.pages;
    m_estimated = before.rows;
    walk(0, m_pages, repair);
    if (!m_look.repaired) {  // or there will be another look
      // Rows that moved behind the end before their page was looked at.
      walk(m_pages, size().pages, repair);
    }
    progress(m_pages, true);
    return m_look;
  }

  void walk(std::int64_t page, std::int64_t end, bool repair) {
    while (page < end) {
      m_session.check_stop();
      const std::int64_t to = std::min(end, page + m_sizer.pages());
      batch(page, to, repair);
      page = to;
      progress(page, false);
    }
  }

  void batch(std::int64_t from, std::int64_t to, bool repair) {
    std::string counts = "count(*)";
    for (const SyncedMapping& mapping : m_table.mappings) {
      counts += fmt::format(", count(*) filter (where {})", mapping.pending);
      counts += mapping.inconsistent.empty() ? std::string(", 0")
                                             : fmt::format(", count(*) filter (where {})", mapping.inconsistent);
    }
    // One snapshot, so that what is shown is what was counted.
    const auto results = m_session.connection().script(
        fmt::format("begin isolation level repeatable read read only; select {0}; select {1} from only {2} as this "
                    "where {3}; select {0}",
                    k_now, counts, m_relation.sql(), page_range(from, to)));
    m_sizer.batch_took(results.at(2).number(0, 0) - results.at(0).number(0, 0), static_cast<double>(to - from));
    m_look.rows += results.at(1).integer(0, 0);
    const auto count = [&](std::size_t mapping, int kind) {
      return results.at(1).integer(0, 1 + 2 * static_cast<int>(mapping) + kind);
    };
    for (std::size_t i = 0; i < m_table.mappings.size(); ++i) {
      const SyncedMapping& mapping = m_table.mappings[i];
      m_look.pending.found += count(i, 0);
      m_look.inconsistent.found += count(i, 1);
      show(mapping, "pending", mapping.pending, count(i, 0), from, to);
      show(mapping, "inconsistent", mapping.inconsistent, count(i, 1), from, to);
    }
    m_session.connection().query("commit");
    for (std::size_t i = 0; repair && i < m_table.mappings.size(); ++i) {
      const SyncedMapping& mapping = m_table.mappings[i];
      const auto& options = m_session.options();
      mend(m_look.pending, options.repair_pending ? mapping.fill : std::string(), mapping.pending, count(i, 0), from,
           to);
      mend(m_look.inconsistent,
           options.repair == RunOptions::Side::old_columns   ? mapping.fill
           : options.repair == RunOptions::Side::new_columns ? mapping.old_from_new
                                                             : std::string(),
           mapping.inconsistent, count(i, 1), from, to);
    }
  }

  void mend(Look::Kind& kind, const std::string& set, const std::string& condition, std::int64_t count,
            std::int64_t from, std::int64_t to) {
    if (count > 0 && !set.empty()) {
      kind.written += m_repair.run(set, condition, from, to);
      m_look.repaired = true;
    }
  }

  static std::string values(const std::vector<std::string>& columns) {
    std::vector<std::string> terms;
    for (const std::string& column : columns) {
      terms.push_back(fmt::format("{} || coalesce(quote_literal(left(this.{}::text, 200)), 'null')",
                                  quote_literal(column + "="), quote_identifier(column)));
    }
    return terms.empty() ? std::string("''") : join(terms, " || ', ' || ");
  }

  void show(const SyncedMapping& mapping, const std::string& kind, const std::string& condition, std::int64_t count,
            std::int64_t from, std::int64_t to) {
    if (count == 0 || m_shown >= k_most_shown) {
      return;
    }
    const pg::Rows rows =
        m_session.connection()
            .script(fmt::format("select {}, {}, {} from only {} as this where {} and {} limit {}", row_key(m_table.key),
                                values(mapping.old_columns), values(mapping.new_columns), m_relation.sql(),
                                page_range(from, to), condition, k_most_shown - m_shown))
            .front();
    for (int row = 0; row < rows.size(); ++row) {
      m_session.report(
          event::Difference{m_relation.display(), rows.text(row, 0), kind, rows.text(row, 1), rows.text(row, 2)});
    }
    m_shown += rows.size();
  }

  void progress(std::int64_t page, bool last) {
    const auto now = m_session.clock().now();
    const double part = m_pages == 0 ? 1 : std::min(1.0, static_cast<double>(page) / static_cast<double>(m_pages));
    m_eta.at(static_cast<double>(now.count()), part);
    if (!last && now - m_reported < k_report_every) {
      return;
    }
    m_reported = now;
    event::Progress progress;
    progress.phase = "verify";
    progress.relation = m_relation.display();
    progress.percent = 100 * part;
    progress.rows = m_look.rows;
    progress.rows_estimated = std::max(m_estimated, m_look.rows);
    progress.rows_per_second =
        static_cast<double>(m_look.rows) / std::max(0.001, static_cast<double>((now - m_begin).count()) / 1000);
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
  Repair m_repair;
  BatchSizer m_sizer;
  Eta m_eta;
  Look m_look;
  std::chrono::milliseconds m_begin{0};
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
