#include "trial.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/fill/relation_rows.hpp"
#include "ecmigrate/pg/sqlstate.hpp"

namespace ecmigrate {

namespace {

constexpr std::int64_t k_pages_at_once = 500;
/// A sample is taken from this many places of the table.
constexpr std::int64_t k_places = 20;
constexpr int k_most_examples = 3;
/// The plan's own SQL may lock what it likes; it is only tried, and nobody is to wait behind that.
constexpr std::string_view k_prelude_lock_timeout = "100ms";

/// Pairs of a JSON array of arrays of two texts.
std::vector<std::pair<std::string, std::string>> examples_of(const std::string& json) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& pair : nlohmann::json::parse(json)) {
    pairs.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
  }
  return pairs;
}

class Trying {
 public:
  Trying(Session& session, const Trial& trial) : m_session(session), m_trial(trial) {}

  void run() {
    m_result.relation = m_trial.table.display();
    evaluate_defaults();
    for (const QualifiedName& leaf : m_trial.leaves) {
      m_leaf = leaf;
      std::string source = m_trial.source;
      const std::size_t at = source.rfind("%s");  // the plan's own texts stand before it
      m_source = source.replace(at, 2, leaf.sql());
      if (m_trial.unique.empty()) {
        leaf_pages();
      } else {
        look_for_duplicates();
      }
    }
    if (!m_trial.violates.empty() || !m_trial.unique.empty()) {
      return;
    }
    m_session.report(m_result);
    if (m_result.lossy > 0 && m_session.options().strict) {
      throw Error(Outcome::refused,
                  fmt::format("{}: {} of {} rows lose something on the way to {} and back", m_result.relation,
                              with_thousands(m_result.lossy), with_thousands(m_result.rows), m_trial.label),
                  "Change `up` and `down` so that they are each other's inverse, or leave --strict out.");
    }
  }

 private:
  void evaluate_defaults() {
    for (const std::string& sql : m_trial.defaults) {
      try {
        m_session.connection().script(rolled_back("select " + sql));
      } catch (const pg::SqlError& error) {
        if (error.connection_lost() || error.is_class(pg::sqlstate::k_syntax_error_or_access_rule_violation)) {
          throw;
        }
        if (error.sqlstate() != pg::sqlstate::k_read_only_sql_transaction &&
            error.sqlstate() != pg::sqlstate::k_lock_not_available) {
          throw Error(Outcome::refused,
                      fmt::format("{}: `up` raises for the old column's default: {} ({})", m_result.relation,
                                  error.what(), m_trial.label),
                      "From expand on every INSERT would evaluate it: change or drop that default first, or let `up` "
                      "take it. Nothing was changed.");
        }
      }
    }
  }

  void leaf_pages() {
    const pg::Rows size = m_session.connection().query(
        "select pg_catalog.pg_relation_size($1::pg_catalog.regclass) / current_setting('block_size')::bigint",
        {m_leaf.sql()});
    const std::int64_t pages = size.integer(0, 0);
    const std::int64_t wanted = m_trial.violates.empty() ? m_session.options().check_rows : 0;
    if (wanted == 0) {
      for (std::int64_t page = 0; page < pages; page += k_pages_at_once) {
        m_session.check_stop();
        some_rows(page, std::min(pages, page + k_pages_at_once), 0);
      }
      return;
    }
    const std::int64_t places = std::min(k_places, std::max<std::int64_t>(1, pages));
    for (std::int64_t place = 0; place < places; ++place) {
      const std::int64_t from = pages * place / places;
      some_rows(from, pages * (place + 1) / places, (wanted + places - 1) / places);
    }
  }

  /// `limit` 0: all rows of the pages.
  void some_rows(std::int64_t from, std::int64_t to, std::int64_t limit) {
    if (to <= from) {
      return;
    }
    // The places of the rows first, so that the expressions see these rows and no others.
    const pg::Rows rows = m_session.connection().query(
        fmt::format("select this.ctid::text from {} as this where {}{}", m_leaf.sql(), page_range(from, to),
                    limit == 0 ? std::string() : fmt::format(" limit {}", limit)));
    std::vector<std::string> places;
    for (int row = 0; row < rows.size(); ++row) {
      places.push_back(rows.text(row, 0));
    }
    if (!places.empty()) {
      try {
        look(places);
      } catch (const pg::SqlError& error) {
        if (error.connection_lost() || error.is_class(pg::sqlstate::k_syntax_error_or_access_rule_violation)) {
          throw;
        }
        if (error.sqlstate() == pg::sqlstate::k_read_only_sql_transaction) {  // the trial is read only
          untried(error.what());
          return;
        }
        name_row(std::move(places), error.what());
      }
    }
  }

  /// The trial's source over some rows. The restriction goes into the innermost query, and `offset 0` keeps the planner
  /// from moving the expressions into it.
  [[nodiscard]] std::string source_of(const std::vector<std::string>& places) const {
    std::string list;
    for (const std::string& place : places) {
      list += (list.empty() ? "\"" : ",\"") + place + '"';
    }
    std::string source = m_source;
    const std::string from = m_leaf.sql() + " as this";
    return source.insert(source.rfind(from) + from.size(),
                         fmt::format(" where this.ctid = any ('{{{}}}'::tid[]) offset 0", list));
  }

  [[nodiscard]] std::string look_query(const std::vector<std::string>& places) const {
    std::vector<std::string> evaluated;
    for (const std::string& expression : m_trial.evaluated) {
      evaluated.push_back(fmt::format("count({})", expression));
    }
    const std::string lossy = m_trial.lossy.empty() ? "false" : m_trial.lossy;
    return rolled_back(fmt::format(
        "select count(*), count(*) filter (where {}), count(*) filter (where {}), {}{} from {}",
        m_trial.null_in.empty() ? "false" : m_trial.null_in, lossy,
        m_trial.lossy.empty() ? std::string("null")
                              : fmt::format("to_json((array_agg(array[{}, {}]) filter (where {}))[1:{}])",
                                            m_trial.shown_before, m_trial.shown_after, lossy, k_most_examples),
        evaluated.empty() ? "" : ", " + join(evaluated, ", "), source_of(places)));
  }

  /// Read only, in case an expression calls a function that writes.
  [[nodiscard]] std::string rolled_back(const std::string& select) const {
    std::string sql = fmt::format("begin; set local lock_timeout = '{}'; ", k_prelude_lock_timeout);
    for (const std::string& statement : m_trial.prelude) {
      sql += statement + ";\n";
    }
    return fmt::format("{}set transaction read only; {}; rollback", sql, select);
  }

  void untried(const std::string& why) {
    if (!m_warned) {
      m_warned = true;
      m_session.warn(
          fmt::format("up and down of {} cannot be tried on rows of {}: {}", m_trial.label, m_result.relation, why));
    }
  }

  void look_for_violations(const std::vector<std::string>& places) {
    const pg::Rows rows =
        m_session.connection()
            .script(rolled_back(fmt::format("select {} from {} where {} limit 1",
                                            m_trial.key.empty() ? std::string("'without a key'") : row_key(m_trial.key),
                                            source_of(places), m_trial.violates)))
            .front();
    if (rows.size() > 0) {
      throw Error(Outcome::refused,
                  fmt::format("{} row {} violates \"{}\"", m_result.relation, rows.text(0, 0), m_trial.label),
                  "From expand on every write of such a row would fail, the old application's too: mend the rows "
                  "first, or give `up`. Nothing was changed.");
    }
  }

  /// In one query, as equal values may lie anywhere in the table.
  void look_for_duplicates() {
    std::vector<std::string> columns;
    for (std::size_t i = 0; i < m_trial.unique.size(); ++i) {
      columns.push_back(fmt::format("key_{}", i));
    }
    std::optional<pg::Rows> rows;
    try {
      rows = m_session.connection()
                 .script(fmt::format(
                     "begin read only; select n, pg_catalog.concat_ws(', ', {0}) from (select count(*) as n, {0} "
                     "from {1} group by {0} having count(*) > 1 limit 1) as found; commit",
                     join(columns, ", "), m_source))
                 .front();
    } catch (const pg::SqlError& error) {
      if (error.connection_lost() || error.is_class(pg::sqlstate::k_syntax_error_or_access_rule_violation)) {
        throw;
      }
      m_session.warn(
          fmt::format("\"{}\" cannot be tried on the rows of {}: {}", m_trial.label, m_result.relation, error.what()));
      return;
    }
    if (rows->size() > 0) {
      throw Error(Outcome::refused,
                  fmt::format("{}: {} rows with {} = {}, where unique index \"{}\" allows one", m_result.relation,
                              with_thousands(rows->integer(0, 0)), join(m_trial.unique, ", "),
                              abbreviate(rows->text(0, 1), 60), m_trial.label),
                  "Mend the rows first, or let `up` keep them apart. Nothing was changed.");
    }
  }

  void look(const std::vector<std::string>& places) {
    if (!m_trial.violates.empty()) {
      look_for_violations(places);
      return;
    }
    const pg::Rows rows = m_session.connection().script(look_query(places)).front();
    if (rows.integer(0, 1) > 0) {
      const pg::Rows bad = m_session.connection()
                               .script(rolled_back(fmt::format(
                                   "select {} from {} where {} limit 1",
                                   m_trial.key.empty() ? std::string("'without a key'") : row_key(m_trial.key),
                                   source_of(places), m_trial.null_in)))
                               .front();
      throw Error(Outcome::refused,
                  fmt::format("{} row {}: `up` gives null for a column that is not nullable ({})", m_result.relation,
                              bad.text(0, 0), m_trial.label),
                  "Let `up` give a value for such rows, mend them, or say `nullable: true`.");
    }
    m_result.rows += rows.integer(0, 0);
    m_result.lossy += rows.integer(0, 2);
    if (!rows.is_null(0, 3)) {
      for (const auto& [before, after] : examples_of(rows.text(0, 3))) {
        std::string example = fmt::format("`{}` → `{}`", abbreviate(before, 60), abbreviate(after, 60));
        if (m_result.examples.size() < k_most_examples &&
            std::ranges::find(m_result.examples, example) == m_result.examples.end()) {
          m_result.examples.push_back(std::move(example));
        }
      }
    }
  }

  /// Halves the rows until one is left that raises.
  void name_row(std::vector<std::string> places, const std::string& message) {
    while (places.size() > 1) {
      const auto middle = places.begin() + static_cast<std::ptrdiff_t>(places.size() / 2);
      std::vector<std::string> first(places.begin(), middle);
      places = raises(first) ? std::move(first) : std::vector<std::string>(middle, places.end());
    }
    const pg::Rows rows =
        m_session.connection().query(fmt::format("select {} from {} as this where this.ctid = {}::tid",
                                                 row_key(m_trial.key), m_leaf.sql(), quote_literal(places.front())));
    throw Error(Outcome::refused,
                fmt::format("{} row {}: {} ({})", m_result.relation,
                            rows.size() == 0 ? places.front() : rows.text(0, 0), message, m_trial.label),
                "`up` or `down` raises for this row: mend the row or the expression. Nothing was changed.");
  }

  bool raises(const std::vector<std::string>& places) {
    try {
      m_session.connection().script(look_query(places));
      return false;
    } catch (const pg::SqlError& error) {
      if (error.connection_lost()) {
        throw;
      }
      return true;
    }
  }

  Session& m_session;
  const Trial& m_trial;
  QualifiedName m_leaf;
  std::string m_source;
  event::TrialFinished m_result;
  bool m_warned = false;
};

}  // namespace

void try_on_rows(Session& session, const Trial& trial) {
  Trying(session, trial).run();
}

}  // namespace ecmigrate
